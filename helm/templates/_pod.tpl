{{- /* What the pods of members, replays and tests have in common. */ -}}
{{- define "conversions.podBasics" -}}
serviceAccountName: {{ include "conversions.serviceAccountName" . }}
automountServiceAccountToken: false
# A Service called "kafka" or "conversions" would put variables of such names into our environment.
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- if not (kindIs "invalid" .Values.hostUsers) }}
hostUsers: {{ .Values.hostUsers }}
{{- end }}
{{- range $name := list "imagePullSecrets" "nodeSelector" "tolerations" "affinity" "priorityClassName" "runtimeClassName" "dnsConfig" }}
{{- with index $.Values $name }}
{{ $name }}: {{- if kindIs "string" . }} {{ . | quote }}{{ else }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "conversions.container" -}}
image: {{ include "conversions.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .root.Values.securityContext | nindent 2 }}
resources:
  {{- toYaml .resources | nindent 2 }}
{{- with .root.Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- include "conversions.mounts" . | trim | nindent 2 }}
env:
  {{- include "conversions.environment" . | trim | nindent 2 }}
{{- end }}

{{- define "conversions.probe" -}}
httpGet: { path: {{ .path }}, port: metrics }
{{- with .timing }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The template of a member's pod, for a Deployment and a StatefulSet alike. */ -}}
{{- define "conversions.memberTemplate" -}}
{{- $ours := dict "root" . "withMeta" true "resources" .Values.resources -}}
metadata:
  labels:
    {{- include "conversions.podLabels" . | nindent 4 }}
    app.kubernetes.io/component: consumer
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: consumer
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "conversions.podBasics" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with include "conversions.spreading" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: consumer
      args: [run]
      ports:
        - { name: metrics, containerPort: {{ .Values.metrics.port }} }
      startupProbe:
        {{- include "conversions.probe" (dict "path" "/livez" "timing" .Values.probes.startup) | nindent 8 }}
      livenessProbe:
        {{- include "conversions.probe" (dict "path" "/livez" "timing" .Values.probes.liveness) | nindent 8 }}
      readinessProbe:
        {{- include "conversions.probe" (dict "path" "/readyz" "timing" .Values.probes.readiness) | nindent 8 }}
      {{- include "conversions.container" $ours | nindent 6 }}
        {{- if .Values.workload.staticMembership }}
        - name: KAFKA_CONSUMER_GROUP_INSTANCE_ID
          valueFrom: { fieldRef: { fieldPath: metadata.name } }
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "conversions.volumes" $ours | trim | nindent 4 }}
{{- end }}

{{- /* Over zones first, then over nodes, where that can be; `[]` in the values is nowhere. */ -}}
{{- define "conversions.spreading" -}}
{{- if kindIs "invalid" .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "conversions.memberLabels" $ | nindent 8 }}
    {{- if eq $.Values.workload.kind "Deployment" }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
{{- else if .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml .Values.topologySpreadConstraints | nindent 2 }}
{{- end }}
{{- end }}
