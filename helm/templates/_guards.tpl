{{- /* Values that are fine alone and not together; all of them are told at once. The defaults of
grace and time-out are the settings' own. */ -}}
{{- define "conversions.guards" -}}
{{- $problems := concat
  (include "conversions.guards.start" . | fromJsonArray)
  (include "conversions.guards.secrets" . | fromJsonArray)
  (include "conversions.guards.environment" . | fromJsonArray)
  (include "conversions.guards.ending" . | fromJsonArray)
  (include "conversions.guards.scaling" . | fromJsonArray)
  (include "conversions.guards.network" . | fromJsonArray)
  (include "conversions.guards.monitoring" . | fromJsonArray) }}
{{- if $problems }}
{{- fail (printf "\n\nThe values cannot be used:\n* %s\n" (join "\n* " $problems)) }}
{{- end }}
{{- end }}

{{- /* What a member cannot start without. */ -}}
{{- define "conversions.guards.start" -}}
{{- $found := list }}
{{- with .Values }}
{{- $more := or .extraEnv .extraEnvFrom }}
{{- if not (or .kafka.KAFKA_BOOTSTRAP_SERVERS .secrets.kafka.files.KAFKA_BOOTSTRAP_SERVERS $more) }}
{{- $found = append $found "kafka.KAFKA_BOOTSTRAP_SERVERS must be set" }}
{{- end }}
{{- $named := 0 }}
{{- range list .settings.CONVERSIONS_PIXEL_ID .destinations .existingDestinationsConfigMap }}
{{- if . }}{{ $named = add1 $named }}{{ end }}
{{- end }}
{{- if gt $named 1 }}
{{- $found = append $found "only one of destinations, existingDestinationsConfigMap and settings.CONVERSIONS_PIXEL_ID may be set" }}
{{- else if not (or $named $more) }}
{{- $found = append $found "destinations, existingDestinationsConfigMap or settings.CONVERSIONS_PIXEL_ID must be set" }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- define "conversions.guards.secrets" -}}
{{- $found := list }}
{{- with .Values }}
{{- $given := .secrets.meta }}
{{- if and $given.existingSecret $given.developmentToken }}
{{- $found = append $found "secrets.meta.developmentToken must be empty when secrets.meta.existingSecret is set" }}
{{- else if not (or $given.existingSecret $given.developmentToken) }}
{{- $found = append $found "secrets.meta.existingSecret must name the Secret with Meta's access tokens" }}
{{- end }}
{{- range $place, $variables := dict "kafka" .kafka "schemaRegistry" .schemaRegistry }}
{{- range $name, $value := $variables }}
{{- if regexMatch "PASSWORD|SECRET|PASSPHRASE|PEM|JAAS|OAUTH|TOKEN|USER_INFO|PROXY|KINIT" $name }}
{{- if not (regexMatch "_OAUTHBEARER_(METHOD|TOKEN_ENDPOINT_URL|CLIENT_ID|SCOPE|EXTENSIONS)$|_OAUTHBEARER_METADATA_AUTHENTICATION_TYPE$" $name) }}
{{- $found = append $found (printf "%s.%s may be a secret: put it into a Secret, and its key into secrets.%s.files" $place $name $place) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $place := list "kafka" "schemaRegistry" }}
{{- $secret := index $.Values.secrets $place }}
{{- if and $secret.files (not $secret.existingSecret) }}
{{- $found = append $found (printf "secrets.%s.existingSecret must name the Secret that secrets.%s.files are keys of" $place $place) }}
{{- end }}
{{- range $name, $key := $secret.files }}
{{- if index (index $.Values $place) $name }}
{{- $found = append $found (printf "%s stands in %s and in secrets.%s.files; keep one of them" $name $place $place) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .externalSecrets.enabled }}
{{- if not .externalSecrets.secretStoreRef.name }}
{{- $found = append $found "externalSecrets.secretStoreRef.name must be set" }}
{{- end }}
{{- range $place, $keys := .externalSecrets.data }}
{{- if not (index $.Values.secrets $place).existingSecret }}
{{- $found = append $found (printf "secrets.%s.existingSecret must name the Secret that externalSecrets.data.%s makes" $place $place) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- /* Who applies the objects may not name a variable twice, and a member's name is its own. */ -}}
{{- define "conversions.guards.environment" -}}
{{- $found := list }}
{{- $seen := dict }}
{{- range include "conversions.environment" (dict "root" . "withMeta" true) | fromYamlArray }}
{{- if hasKey $seen .name }}
{{- $found = append $found (printf "%s stands twice in the environment: another value sets it, so leave it out of extraEnv" .name) }}
{{- end }}
{{- $_ := set $seen .name true }}
{{- if and (regexMatch "^KAFKA_(CONSUMER_)?GROUP_INSTANCE_ID(_FILE)?$" .name) (or .value $.Values.workload.staticMembership) }}
{{- $found = append $found (printf "%s would be the same for all members; workload.staticMembership gives each its own" .name) }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- /* A drain that the kubelet cuts short is sent again by the next member. */ -}}
{{- define "conversions.guards.ending" -}}
{{- $found := list }}
{{- $given := dict }}
{{- range include "conversions.environment" (dict "root" . "withMeta" true) | fromYamlArray }}
{{- $_ := set $given .name .value }}
{{- end }}
{{- with .Values }}
{{- $grace := default 30 $given.CONVERSIONS_GRACE_SECONDS | toString | float64 }}
{{- $timeout := default 20 $given.CONVERSIONS_REQUEST_TIMEOUT_SECONDS | toString | float64 }}
{{- $needed := addf $grace (maxf 10 $timeout) }}
{{- if le (float64 .terminationGracePeriodSeconds) $needed }}
{{- $found = append $found (printf "terminationGracePeriodSeconds must be more than %v: CONVERSIONS_GRACE_SECONDS (%v), and 10 s or CONVERSIONS_REQUEST_TIMEOUT_SECONDS (%v)" $needed $grace $timeout) }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- define "conversions.guards.scaling" -}}
{{- $found := list }}
{{- with .Values }}
{{- if and .keda.enabled .hpa.enabled }}
{{- $found = append $found "keda.enabled and hpa.enabled exclude one another: KEDA makes a HorizontalPodAutoscaler of its own" }}
{{- end }}
{{- if .workload.staticMembership }}
{{- if ne .workload.kind "StatefulSet" }}
{{- $found = append $found "workload.staticMembership needs workload.kind StatefulSet: the names of other pods change" }}
{{- end }}
{{- if or .keda.enabled .hpa.enabled }}
{{- $found = append $found "workload.staticMembership needs a fixed replicaCount: a static member that is scaled away keeps its partitions until its session ends" }}
{{- end }}
{{- end }}
{{- $most := ternary .keda.maxReplicaCount (ternary .hpa.maxReplicas .replicaCount .hpa.enabled) .keda.enabled }}
{{- if and .topicPartitions (gt (int $most) (int .topicPartitions)) }}
{{- $found = append $found (printf "%d replicas are more than the topic's %d partitions (topicPartitions): the rest would have nothing to do" (int $most) (int .topicPartitions)) }}
{{- end }}
{{- if and .keda.enabled (gt (int .keda.minReplicaCount) (int .keda.maxReplicaCount)) }}
{{- $found = append $found "keda.minReplicaCount must not be more than keda.maxReplicaCount" }}
{{- end }}
{{- if and .hpa.enabled (gt (int .hpa.minReplicas) (int .hpa.maxReplicas)) }}
{{- $found = append $found "hpa.minReplicas must not be more than hpa.maxReplicas" }}
{{- end }}
{{- if and .hpa.enabled (not .hpa.targetCPUUtilizationPercentage) (not .hpa.metrics) }}
{{- $found = append $found "hpa.targetCPUUtilizationPercentage or hpa.metrics must be set" }}
{{- end }}
{{- if .keda.enabled }}
{{- if not .kafka.KAFKA_BOOTSTRAP_SERVERS }}
{{- $found = append $found "keda.enabled needs kafka.KAFKA_BOOTSTRAP_SERVERS in the values: KEDA asks the brokers itself" }}
{{- end }}
{{- if and (eq (include "conversions.keda.sasl" $) "none") (not .keda.metadata.sasl) }}
{{- $found = append $found "keda.enabled needs to know how the consumer logs in: set kafka.KAFKA_SASL_MECHANISM, or keda.metadata.sasl" }}
{{- end }}
{{- if eq (toString .keda.metadata.limitToPartitionsWithLag) "true" }}
{{- range list "allowIdleConsumers" "ensureEvenDistributionOfPartitions" }}
{{- if eq (toString (index $.Values.keda.metadata .)) "true" }}
{{- $found = append $found (printf "keda.metadata.limitToPartitionsWithLag and keda.metadata.%s exclude one another" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- /* A policy that shuts out the very brokers and registry that the values name. */ -}}
{{- define "conversions.guards.network" -}}
{{- $found := list }}
{{- with .Values }}
{{- if .networkPolicy.enabled }}
{{- range $address := splitList "," (toString (default "" .kafka.KAFKA_BOOTSTRAP_SERVERS)) }}
{{- $port := regexFind "[0-9]+$" (trim $address) | default "9092" }}
{{- if and $address (not (has $port (include "conversions.ports" $.Values.networkPolicy.kafka | fromJsonArray))) }}
{{- $found = append $found (printf "networkPolicy.kafka.ports must hold %s, the port of %s" $port (trim $address)) }}
{{- end }}
{{- end }}
{{- with .schemaRegistry.SCHEMA_REGISTRY_URL }}
{{- $usual := ternary "443" "80" (hasPrefix "https://" .) }}
{{- $port := regexFind "^https?://[^/]*" . | regexFind "[0-9]+$" | default $usual }}
{{- if not (has $port (include "conversions.ports" $.Values.networkPolicy.schemaRegistry | fromJsonArray)) }}
{{- $found = append $found (printf "networkPolicy.schemaRegistry.ports must hold %s, the port of SCHEMA_REGISTRY_URL" $port) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- define "conversions.ports" -}}
{{- $found := list }}
{{- range .ports }}{{ $found = append $found (toString .) }}{{ end }}
{{- toJson $found }}
{{- end }}

{{- /* Prometheus drops a whole scrape that is over its limit, and it would be so in an incident first. */ -}}
{{- define "conversions.guards.monitoring" -}}
{{- $found := list }}
{{- with .Values.monitoring }}
{{- $needed := add 1000 (mul 300 (len $.Values.destinations)) }}
{{- if and .enabled .sampleLimit (lt (int .sampleLimit) (int $needed)) }}
{{- $found = append $found (printf "monitoring.sampleLimit must be 0 or at least %d: 300 for each of %d destinations, and 1000" $needed (len $.Values.destinations)) }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}
