{{- define "clientele.selector" -}}
app.kubernetes.io/name: clientele
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "clientele.labels" -}}
{{ include "clientele.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
