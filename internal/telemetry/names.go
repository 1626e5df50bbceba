package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// The names in spans. Those of messaging follow one version of OpenTelemetry's conventions,
// which are not stable yet: the version above changes only together with docs/traces.md.

// template stands for the subject, whose key may identify a person.
const template = "codeferry.send.{app}.{channel}.{type}.{key}"

// The names of spans. Requests to providers are named by operation, channel and connector.
const (
	waitSpan    = "wait " + template
	processSpan = "process " + template
	sendSpan    = "send"
	askSpan     = "ask"
)

// The attributes that every span of a kind has. They are made once, because each delivery
// needs them, also one that is not sampled.
var (
	waitAttributes = trace.WithAttributes(
		semconv.MessagingSystemKey.String("nats"), semconv.MessagingDestinationTemplate(template), semconv.MessagingOperationName("wait"))
	processAttributes = trace.WithAttributes(
		semconv.MessagingSystemKey.String("nats"), semconv.MessagingDestinationTemplate(template),
		semconv.MessagingOperationName("process"), semconv.MessagingOperationTypeProcess)
)

// The keys of attributes that the conventions do not have.
const (
	keyApp       = attribute.Key("codeferry.app")
	keyChannel   = attribute.Key("codeferry.channel")
	keyType      = attribute.Key("codeferry.type")
	keyDelivery  = attribute.Key("codeferry.delivery")
	keyReplay    = attribute.Key("codeferry.replay")
	keyDecision  = attribute.Key("codeferry.decision")
	keyOutcome   = attribute.Key("codeferry.outcome")
	keyReason    = attribute.Key("codeferry.reason")
	keyDetail    = attribute.Key("codeferry.detail")
	keyInDoubt   = attribute.Key("codeferry.in_doubt")
	keyDelay     = attribute.Key("codeferry.delay_ms")
	keyConnector = attribute.Key("codeferry.connector")
	keyAttempt   = attribute.Key("codeferry.attempt")
	keyClass     = attribute.Key("codeferry.class")
	keyCode      = attribute.Key("codeferry.code")
	keyRequestID = attribute.Key("codeferry.request_id")
	// keyProviderID is the provider's id of the message that it accepted.
	keyProviderID = attribute.Key("codeferry.provider_id")
	keyLink       = attribute.Key("codeferry.link")
)

// The values of codeferry.link.
const (
	linkPublished = "published"
	linkReplayed  = "replayed"
	linkFormer    = "former-delivery"
)

// scope is the name of the instrumentation.
const scope = "github.com/codeferry/codeferry"
