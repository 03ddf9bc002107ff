{{- /* What things are called. 44 characters leave room for "-replay" in a CronJob's 52. */ -}}
{{- define "conversions.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 44 | trimSuffix "-" }}
{{- end }}

{{- define "conversions.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $both := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $both .Values.fullnameOverride | trunc 44 | trimSuffix "-" }}
{{- end }}

{{- define "conversions.serviceAccountName" -}}
{{- $ours := ternary (include "conversions.fullname" .) "default" .Values.serviceAccount.create }}
{{- default $ours .Values.serviceAccount.name }}
{{- end }}

{{- define "conversions.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end }}
{{- end }}
{{- end }}

{{- define "conversions.destinationsConfigMap" -}}
{{- default (printf "%s-destinations" (include "conversions.fullname" .)) .Values.existingDestinationsConfigMap }}
{{- end }}

{{- define "conversions.metaSecret" -}}
{{- if .Values.secrets.meta.existingSecret }}{{ .Values.secrets.meta.existingSecret }}
{{- else }}{{ include "conversions.fullname" . }}-development
{{- end }}
{{- end }}

{{- /* The labels by which all of a release's pods are found. Never change: selectors are immutable. */ -}}
{{- define "conversions.releaseLabels" -}}
app.kubernetes.io/name: {{ include "conversions.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* The members alone: neither a replay nor a test. */ -}}
{{- define "conversions.memberLabels" -}}
{{ include "conversions.releaseLabels" . }}
app.kubernetes.io/component: consumer
{{- end }}

{{- /* Without the chart's version: a new chart alone replaces no pod. */ -}}
{{- define "conversions.podLabels" -}}
{{ include "conversions.releaseLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "conversions.labels" -}}
{{ include "conversions.podLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
