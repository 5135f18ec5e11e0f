import type { Dashboard, DataQuery, FieldConfigSource, GraphFieldConfig, Panel, RowPanel, TableFieldOptions, VariableModel } from '@grafana/schema';
import type { Options as Heatmap, FieldConfig as HeatmapFieldConfig } from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as Table } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { Options as TimeSeries } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// The values of an enum are plain texts in JSON, and Grafana has a default for every member.
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]?: Json<T[K]> } : T;

interface PrometheusQuery extends DataQuery {
  expr: string;
  legendFormat?: string;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  range?: boolean;
}

type PanelOf<Type extends string, Options, Custom> = Json<Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & { defaults: Omit<FieldConfigSource['defaults'], 'custom'> & { custom?: Custom } };
}> & { type: Type; options: Json<Options>; targets: PrometheusQuery[] };

export type PrometheusDashboard = Json<Omit<Dashboard, 'panels'>> & {
  panels: (
    | (Json<RowPanel> & { type: 'row' })
    | PanelOf<'heatmap', Heatmap, HeatmapFieldConfig>
    | PanelOf<'stat', Stat, never>
    | PanelOf<'table', Table, TableFieldOptions>
    | PanelOf<'timeseries', TimeSeries, GraphFieldConfig>
  )[];
};
