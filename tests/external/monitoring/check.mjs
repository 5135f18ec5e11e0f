// Checks the files of ../../../monitoring and the queries of docs/runbook.md against the metrics of a started server:
// node check.mjs http://127.0.0.1:8080
// With CLIENTELE_AUTHORIZATION set, every request has it as its header Authorization.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { parse } from 'yaml';

const address = process.argv[2];
if (!address) {
  console.error('usage: node check.mjs URL');
  process.exit(2);
}
const authorization = process.env.CLIENTELE_AUTHORIZATION;
const root = resolve(import.meta.dirname, '../../..');
const folder = join(root, 'monitoring');
const text = (path) => readFile(join(root, path), 'utf8');

let failures = 0;
function fail(message) {
  failures += 1;
  console.log(`monitoring: ${message}`);
}

function run(program, args, options) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', ...options });
  if (status !== 0) fail(`${program} ${args.join(' ')}: ${error ?? `${stdout}${stderr}`}`);
  else if (stderr) fail(`${program} ${args.join(' ')}: ${stderr}`);
}

function request(path, body, headers = {}) {
  const options = { headers: { ...(authorization && { authorization }), 'content-type': 'application/json', ...headers } };
  return fetch(`${address}${path}`, body === undefined ? options : { ...options, method: 'POST', body: JSON.stringify(body) });
}

// A series appears with its first event, so each kind has to happen.
async function causeTraffic() {
  const aliases = Array.from({ length: 300 }, (_, at) => `a${at}: __typename`).join(' ');
  for (const query of [
    '{ clients { totalCount } }',
    'mutation { upsertClient(input: { client: { firstName: "Ada", lastName: "Osei" } }) { created } }',
    'mutation { upsertClient(input: { client: { firstName: "" } }) { userErrors { code } } }',
    '{ nothing }',
    `{ ${aliases} }`,
  ]) await (await request('/graphql', { query })).text();
  for (const path of ['/api/clients', '/api/clients/absent', '/health/ready', '/nowhere']) {
    await (await request(path)).text();
  }
  await (await request('/api/clients', undefined, { authorization: 'Bearer clt_none' })).text();
}

// The label names of each metric, and the values of each label.
function readPage(page) {
  const metrics = new Map();
  for (const line of page.split('\n')) {
    const [, name, type] = line.match(/^# TYPE (\S+) (\S+)$/) ?? [];
    if (!name) continue;
    const parts = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    for (const part of parts) metrics.set(`${name}${part}`, new Map());
  }
  for (const [, name, labels] of page.matchAll(/^(\w+)\{(.*)\} \S+$/gm)) {
    for (const [, label, value] of labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      const known = metrics.get(name);
      known.set(label, (known.get(label) ?? new Set()).add(value));
    }
  }
  return metrics;
}

// Prometheus makes the first two itself, and adds job and instance to every series. This server has no replica.
const OWN_METRICS = {
  up: [],
  ALERTS: ['alertname', 'alertstate', 'severity'],
  clientele_database_replica_serving: ['replica'],
  clientele_database_replica_fallbacks_total: [],
};
const OWN_LABELS = ['job', 'instance'];
// Their values depend on failures, which this server doesn't have.
const ANY_VALUE = ['status', 'code'];

function checkQuery(where, query, metrics) {
  const source = query.replaceAll('$__rate_interval', '5m').replace(/\$(job|instance)\b/g, '.+');
  const tree = parser.parse(source);
  const slice = (node) => source.slice(node.from, node.to);
  const labelsOfQuery = new Set(OWN_LABELS);
  tree.iterate({
    enter({ type, node }) {
      if (type.isError) fail(`${where}: can't be parsed near "${source.slice(node.from, node.from + 20)}": ${query}`);
      if (type.name !== 'VectorSelector') return;
      const name = slice(node.getChild('Identifier') ?? node);
      const own = Object.hasOwn(OWN_METRICS, name);
      const known = own ? new Map(OWN_METRICS[name].map((label) => [label, null])) : metrics.get(name);
      if (!known) return void fail(`${where}: there is no metric ${name}`);
      for (const label of known.keys()) labelsOfQuery.add(label);
      for (const matcher of node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []) {
        const label = slice(matcher.getChild('LabelName'));
        const values = known.get(label);
        if (OWN_LABELS.includes(label)) continue;
        if (!known.has(label)) fail(`${where}: ${name} has no label ${label}`);
        if (!values || ANY_VALUE.includes(label)) continue;
        for (const value of slice(matcher.getChild('StringLiteral')).slice(1, -1).split('|')) {
          if (!values.has(value)) fail(`${where}: no series of ${name} has ${label}="${value}"`);
        }
      }
    },
  });
  tree.iterate({
    enter({ name, node }) {
      if (name !== 'GroupingLabels') return;
      for (const label of node.getChildren('LabelName').map(slice)) {
        if (!labelsOfQuery.has(label)) fail(`${where}: no metric of the query has the label ${label}`);
      }
    },
  });
  return source;
}

// Grafana itself isn't part of CI; the types of its schema are.
async function checkDashboardType(dashboard, work) {
  await symlink(join(import.meta.dirname, '../node_modules'), join(work, 'node_modules'));
  await writeFile(join(work, 'package.json'), '{"type":"module"}');
  await writeFile(join(work, 'types.ts'), await readFile(join(import.meta.dirname, 'dashboard.ts')));
  await writeFile(join(work, 'dashboard.ts'),
    `import type { PrometheusDashboard } from './types.js';\nexport const dashboard: PrometheusDashboard = ${dashboard}`);
  const options = ['--strict', '--noEmit', '--skipLibCheck', '--module', 'nodenext', '--types', ''];
  run(process.execPath, [join(work, 'node_modules/typescript/bin/tsc'), ...options, 'dashboard.ts'], { cwd: work });
}

function checkRunbook(rules, tests, runbook) {
  const sections = [...runbook.matchAll(/^## (Clientele\w+)$/gm)].map(([, name]) => name);
  const alerts = rules.map(({ alert }) => alert);
  for (const name of sections.filter((name) => !alerts.includes(name))) fail(`docs/runbook.md: no alert is named ${name}`);
  for (const { alert, labels, annotations } of rules) {
    if (!sections.includes(alert)) fail(`docs/runbook.md: no section is named ${alert}`);
    if (annotations.runbook_url !== `docs/runbook.md#${alert.toLowerCase()}`) fail(`${alert}: wrong runbook_url`);
    if (!['critical', 'warning'].includes(labels.severity)) fail(`${alert}: wrong severity`);
    if (!annotations.summary || !annotations.description) fail(`${alert}: no summary or description`);
    if (!tests.includes(`alertname="${alert}"`)) fail(`alerts.test.yml: no test in which ${alert} fires`);
  }
}

const work = await mkdtemp(join(tmpdir(), 'clientele-monitoring-'));
try {
  await causeTraffic();
  const page = await (await request('/metrics')).text();
  run('promtool', ['check', 'metrics'], { input: page });
  run('promtool', ['check', 'rules', 'alerts.yml'], { cwd: folder });
  run('promtool', ['check', 'config', '--syntax-only', 'prometheus.yml'], { cwd: folder });
  run('promtool', ['test', 'rules', 'alerts.test.yml'], { cwd: folder });

  const metrics = readPage(page);
  const rules = parse(await text('monitoring/alerts.yml')).groups.flatMap((group) => group.rules);
  for (const { alert, expr } of rules) checkQuery(alert, expr, metrics);

  const source = await text('monitoring/dashboard.json');
  const dashboard = JSON.parse(source);
  const panels = dashboard.panels.filter((panel) => panel.type !== 'row');
  const queries = panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [`panel "${title}"`, expr]));
  for (const { name, type, query } of dashboard.templating.list) {
    const [, selector, label] = query.query?.match(/^label_values\((.*), (\w+)\)$/) ?? [];
    if (selector) queries.push([`variable "${name}"`, `count by (${label}) (${selector})`]);
    else if (type !== 'datasource') fail(`variable "${name}": not of the form label_values(metric, label)`);
  }
  const runbook = await text('docs/runbook.md');
  for (const [, block] of runbook.matchAll(/^```promql\n(.*?)^```$/gms)) queries.push(['docs/runbook.md', block.trim()]);
  // The label keeps rules apart whose queries are equal.
  const recorded = queries.map(([where, query], index) => (
    { record: 'query', labels: { index: String(index) }, expr: checkQuery(where, query, metrics) }));
  await writeFile(join(work, 'queries.yml'), JSON.stringify({ groups: [{ name: 'queries', rules: recorded }] }));
  run('promtool', ['check', 'rules', 'queries.yml'], { cwd: work });
  await checkDashboardType(source, work);
  checkRunbook(rules, await text('monitoring/alerts.test.yml'), runbook);
  console.log(`monitoring: ${rules.length} alerts and ${queries.length} queries checked, ${failures} failures`);
} finally {
  await rm(work, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;
