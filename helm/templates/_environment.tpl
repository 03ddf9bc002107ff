{{- /* A value as the environment has it. Go would write 20000000 as 2e+07. */ -}}
{{- define "conversions.text" -}}
{{- if kindIs "float64" . }}
{{- if eq . (floor .) }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end }}
{{- else }}{{ . }}
{{- end }}
{{- end }}

{{- /* Whether some destination needs the token that all share. */ -}}
{{- define "conversions.sharesToken" -}}
{{- $shared := or .Values.settings.CONVERSIONS_PIXEL_ID .Values.existingDestinationsConfigMap }}
{{- range .Values.destinations }}{{ if not .accessTokenKey }}{{ $shared = true }}{{ end }}{{ end }}
{{- if $shared }}true{{ end }}
{{- end }}

{{- /* Variables of every container of ours; `withMeta`: also what only who talks to Meta needs. */ -}}
{{- define "conversions.environment" -}}
{{- $root := .root }}
{{- /* As our image has it: resources were measured so, and an image of your own may lack it. */}}
{{- with $root.Values }}
- name: MALLOC_MMAP_THRESHOLD_
  value: "131072"
{{- range $map := list .settings .kafka .schemaRegistry }}
{{- range $name, $value := $map }}
{{- if not (kindIs "invalid" $value) }}
- name: {{ $name }}
  value: {{ include "conversions.text" $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $key := .secrets.kafka.files }}
- name: {{ $name }}_FILE
  value: /run/secrets/kafka/{{ $key }}
{{- end }}
{{- range $name, $key := .secrets.schemaRegistry.files }}
- name: {{ $name }}_FILE
  value: /run/secrets/schema-registry/{{ $key }}
{{- end }}
{{- if .secrets.deadLetters.existingSecret }}
- name: CONVERSIONS_DLQ_KEY_FILE
  value: /run/secrets/dead-letters/{{ .secrets.deadLetters.key }}
{{- end }}
{{- if .existingSchemasConfigMap }}
- name: CONVERSIONS_SCHEMAS_DIR
  value: /etc/conversions/schemas
{{- end }}
- name: CONVERSIONS_METRICS_HOST
  value: {{ .metrics.host | quote }}
- name: CONVERSIONS_METRICS_PORT
  value: {{ .metrics.port | quote }}
{{- end }}
{{- if .withMeta }}{{ include "conversions.environmentOfMeta" $root }}{{ end }}
{{- with $root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "conversions.environmentOfMeta" -}}
{{- if or .Values.destinations .Values.existingDestinationsConfigMap }}
- name: CONVERSIONS_DESTINATIONS_FILE
  value: /etc/conversions/destinations/destinations.yaml
{{- end }}
{{- if include "conversions.sharesToken" . }}
- name: CONVERSIONS_ACCESS_TOKEN_FILE
  value: /run/secrets/meta/{{ .Values.secrets.meta.accessTokenKey }}
{{- end }}
{{- with .Values.secrets.meta.appSecretKey }}
- name: CONVERSIONS_APP_SECRET_FILE
  value: /run/secrets/meta/{{ . }}
{{- end }}
{{- end }}

{{- /* Whole folders, never single files: Kubernetes renews a folder, and we read again. */ -}}
{{- define "conversions.mounts" -}}
{{- with .root.Values }}
- { name: tmp, mountPath: /tmp }
{{- if .secrets.kafka.existingSecret }}
- { name: kafka-secret, mountPath: /run/secrets/kafka, readOnly: true }
{{- end }}
{{- if .secrets.schemaRegistry.existingSecret }}
- { name: schema-registry-secret, mountPath: /run/secrets/schema-registry, readOnly: true }
{{- end }}
{{- if .secrets.deadLetters.existingSecret }}
- { name: dead-letters-secret, mountPath: /run/secrets/dead-letters, readOnly: true }
{{- end }}
{{- if .existingSchemasConfigMap }}
- { name: schemas, mountPath: /etc/conversions/schemas, readOnly: true }
{{- end }}
{{- if $.withMeta }}
- { name: meta-secret, mountPath: /run/secrets/meta, readOnly: true }
{{- if or .destinations .existingDestinationsConfigMap }}
- { name: destinations, mountPath: /etc/conversions/destinations, readOnly: true }
{{- end }}
{{- end }}
{{- with .extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "conversions.volumes" -}}
{{- with .root.Values }}
- { name: tmp, emptyDir: { medium: Memory, sizeLimit: 16Mi } }
{{- with .secrets.kafka.existingSecret }}
- { name: kafka-secret, secret: { secretName: {{ . }}, defaultMode: 0440 } }
{{- end }}
{{- with .secrets.schemaRegistry.existingSecret }}
- { name: schema-registry-secret, secret: { secretName: {{ . }}, defaultMode: 0440 } }
{{- end }}
{{- with .secrets.deadLetters.existingSecret }}
- { name: dead-letters-secret, secret: { secretName: {{ . }}, defaultMode: 0440 } }
{{- end }}
{{- with .existingSchemasConfigMap }}
- { name: schemas, configMap: { name: {{ . }} } }
{{- end }}
{{- if $.withMeta }}
- { name: meta-secret, secret: { secretName: {{ include "conversions.metaSecret" $.root }}, defaultMode: 0440 } }
{{- if or .destinations .existingDestinationsConfigMap }}
- { name: destinations, configMap: { name: {{ include "conversions.destinationsConfigMap" $.root }} } }
{{- end }}
{{- end }}
{{- with .extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}
