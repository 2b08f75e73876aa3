// Package dialect opens an inference server through the adapter for the dialect that it speaks, which
// can be found by asking.
package dialect

import (
	"context"
	"fmt"
	"strings"

	"pith/rollout/engine"
	"pith/rollout/engine/llamacpp"
	"pith/rollout/engine/openai"
	"pith/rollout/engine/sglang"
	"pith/rollout/engine/vllm"
	"pith/rollout/engine/wire"
)

// The dialects. Auto asks the server.
const (
	Auto     = "auto"
	VLLM     = "vllm"
	SGLang   = "sglang"
	LlamaCPP = "llamacpp"
	OpenAI   = "openai"
)

// Names lists what Open takes.
func Names() []string { return []string{Auto, VLLM, SGLang, LlamaCPP, OpenAI} }

// Engine is what every adapter is. Those that can be published to are a [engine.Publisher] as well, and
// so on: ask with a type assertion.
type Engine interface {
	engine.Sampler
	engine.Observer
	Account() wire.Account
	// Version is the server's, as it says it; "" where it does not.
	Version(ctx context.Context) (string, error)
	// Live asks the server which policies it can be asked for.
	Live(ctx context.Context) ([]engine.PolicyRef, error)
}

// Open makes an engine for the server and says which dialect it is. With Auto the server is asked;
// otherwise nothing is sent yet.
func Open(ctx context.Context, name string, o wire.Options) (Engine, string, error) {
	if name == Auto || name == "" {
		var err error
		if name, err = Detect(ctx, o); err != nil {
			return nil, "", err
		}
	}
	var e Engine
	var err error
	switch name {
	case VLLM:
		e, err = vllm.New(o)
	case SGLang:
		e, err = sglang.New(o)
	case LlamaCPP:
		e, err = llamacpp.New(o)
	case OpenAI:
		e, err = openai.New(o)
	default:
		return nil, "", &engine.Error{Class: engine.User, Op: "open " + o.URL, Msg: fmt.Sprintf("dialect %q is none of %s", name, strings.Join(Names(), ", "))}
	}
	if err != nil {
		return nil, "", err
	}
	return e, name, nil
}

// Detect finds the dialect: from who owns the models in /v1/models, which every server says, else from
// routes that only one of them has. `pith serve` speaks several; vLLM's is the one that it speaks to
// the bit. What is none of them is taken for OpenAI's.
func Detect(ctx context.Context, o wire.Options) (string, error) {
	c, err := wire.NewClient(o)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	models, err := c.Models(ctx)
	if err := wire.Optional(err); err != nil {
		return "", err
	}
	for _, m := range models {
		switch m.OwnedBy {
		case "vllm", "pith":
			return VLLM, nil
		case "sglang":
			return SGLang, nil
		case "llamacpp":
			return LlamaCPP, nil
		}
	}
	for _, t := range []struct{ path, name string }{{"/props", LlamaCPP}, {"/model_info", SGLang}, {"/get_model_info", SGLang}, {"/inference/v1/generate", VLLM}, {"/version", VLLM}} {
		there, err := c.There(ctx, wire.Request{Path: t.path, Method: method(t.path), Body: payload(t.path)})
		if err != nil {
			return "", err
		}
		if there {
			return t.name, nil
		}
	}
	return OpenAI, nil
}

func method(path string) string {
	if payload(path) != nil {
		return "POST"
	}
	return "GET"
}

func payload(path string) []byte {
	if path == "/inference/v1/generate" {
		return []byte("{}")
	}
	return nil
}
