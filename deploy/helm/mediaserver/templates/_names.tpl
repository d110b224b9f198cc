{{- define "mediaserver.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* Labels of one part: dict "root" $ "part" "node". The first two select its pods. */ -}}
{{- define "mediaserver.selector" -}}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "mediaserver.labels" -}}
{{ include "mediaserver.selector" . }}
app.kubernetes.io/name: mediaserver
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- define "mediaserver.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{- define "mediaserver.secret" -}}
{{ .Values.keys.existingSecret | default (printf "%s-keys" (include "mediaserver.name" .)) }}
{{- end -}}
