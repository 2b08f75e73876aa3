// Package exporters writes what a run measured into the forms that trackers read: TensorBoard event
// files, an MLflow file store, JSON lines for Weights & Biases, Prometheus text, and OpenTelemetry
// spans as OTLP JSON.
//
// Everything comes from the log ([Read]), never from the running trainer: an export of a finished,
// resumed or interrupted run holds every committed step once. [Export] may be repeated while a run
// goes on: each target knows from its own files how far it has come ([Target]), for every kind of
// row apart, so that an evaluation that is committed after its step is not passed over, and appends
// what is new. A file is written beside its place and renamed; a crash repeats work and doubles
// nothing.
//
// The log holds durations but no clock: times are the seconds of steps and evaluations added up from
// the beginning of the run, counted from 1970.
package exporters
