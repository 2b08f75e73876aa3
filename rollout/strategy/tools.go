package strategy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"pith/rollout/engine"
	"pith/rollout/task"
	"pith/traces"
)

// toolsOptions are the options of the tools strategy.
type toolsOptions struct {
	MaxCalls        int     `json:"max_calls"`
	MaxResultTokens int     `json:"max_result_tokens"`
	CallSeconds     float64 `json:"call_seconds"`
	Price           float64 `json:"price"`
}

func toolsDefaults() toolsOptions {
	return toolsOptions{MaxCalls: 16, MaxResultTokens: 256, CallSeconds: 5}
}

func toolsDocs() []Option {
	d := toolsDefaults()
	return []Option{
		{"max_calls", d.MaxCalls, "calls that are executed; one more ends the response, as a limit"},
		{"max_result_tokens", d.MaxResultTokens, "a longer result is cut"},
		{"call_seconds", d.CallSeconds, "deadline of one call; a call beyond it has an empty result"},
		{"price", d.Price, "of one executed call, recorded with it"},
	}
}

// tools lets the policy call tools. It stops the engine at the token that ends a call, inserts the
// result between its markers, and goes on. The token limit counts what the policy sampled, not
// what was inserted.
type tools struct{ o toolsOptions }

func openTools(options json.RawMessage) (Strategy, error) {
	o := toolsDefaults()
	if err := decode(options, &o); err != nil {
		return nil, err
	}
	return tools{o}, errors.Join(o.validate()...)
}

func (o toolsOptions) validate() (errs []error) {
	if o.MaxCalls < 0 {
		errs = append(errs, fmt.Errorf("max_calls is %d, must be 0 or more", o.MaxCalls))
	}
	if o.MaxResultTokens < 1 {
		errs = append(errs, fmt.Errorf("max_result_tokens is %d, must be positive", o.MaxResultTokens))
	}
	if !(o.CallSeconds > 0 && o.CallSeconds <= 3600) {
		errs = append(errs, fmt.Errorf("call_seconds is %v, must be above 0 and at most 3600", o.CallSeconds))
	}
	if !(o.Price >= 0 && o.Price < 1e9) {
		errs = append(errs, fmt.Errorf("price is %v, must be 0 or more", o.Price))
	}
	return errs
}

// callMarkers are the token ids that the strategy works with.
type callMarkers struct{ call, endCall, result, endResult int32 }

func (s tools) Run(ctx context.Context, env *Env, t *task.Task) ([]Rollout, error) {
	m, err := callMarkersOf(env)
	if err != nil {
		return nil, fmt.Errorf("strategy tools: %w", err)
	}
	params := toolParams(t.Params, m)
	rs, err := firstTurn(ctx, env, t, params)
	if err != nil {
		return nil, err
	}
	if err := s.finish(ctx, env, rs, params, m); err != nil {
		return nil, err
	}
	return rollouts(rs), nil
}

// ready implements readier.
func (s tools) ready(env *Env) error {
	_, err := callMarkersOf(env)
	return err
}

// callMarkersOf looks the markers up, and that there is something to call.
func callMarkersOf(env *Env) (m callMarkers, err error) {
	if len(env.Tools) == 0 {
		return m, errors.New("this data has no tools")
	}
	for _, x := range []struct {
		id         *int32
		role, text string
	}{
		{&m.call, "call", env.Markers.Call}, {&m.endCall, "end of call", env.Markers.EndCall},
		{&m.result, "result", env.Markers.Result}, {&m.endResult, "end of result", env.Markers.EndResult},
	} {
		if *x.id, err = env.marker(x.role, x.text); err != nil {
			return m, err
		}
	}
	return m, nil
}

// toolParams are params under which the engine also stops at the end of a call.
func toolParams(params engine.Params, m callMarkers) engine.Params {
	params.StopTokens = append(append([]int32(nil), params.StopTokens...), m.endCall)
	return params
}

// finish executes calls until every response has ended: the first call to the engine may share
// the prompt; from there every sample goes its own way.
func (s tools) finish(ctx context.Context, env *Env, rs []*response, params engine.Params, m callMarkers) error {
	return each(rs, func(r *response) error { return s.goOn(ctx, env, r, params, m) })
}

// goOn executes calls and samples on until the response has ended.
func (s tools) goOn(ctx context.Context, env *Env, r *response, params engine.Params, m callMarkers) error {
	turn := int32(0) // where the current turn began
	for r.finish == traces.FinishStop && r.err == nil && r.tokens[len(r.tokens)-1] == m.endCall {
		if len(r.calls) == s.o.MaxCalls {
			r.finish = traces.FinishLength
			s.record(env, r, turn, m, fmt.Errorf("not executed: the limit is %d calls", s.o.MaxCalls))
			return nil
		}
		if err := s.execute(ctx, env, r, turn, m); err != nil {
			return err
		}
		turn = int32(len(r.tokens))
		left := params.MaxTokens - r.sampled
		if left < 1 {
			r.finish = traces.FinishLength
			return nil
		}
		p := params
		p.MaxTokens = len(r.tokens) + left // counts the prefix, inserted tokens and all
		p.MinTokens = 0                    // was the first turn's
		d, err := env.sample(ctx, engine.SampleRequest{
			ID: r.t.TraceID(r.sample), Prompt: r.prompt, Prefix: append([]int32(nil), r.tokens...), N: 1, First: r.sample, Params: p,
		})
		if err != nil {
			return err
		}
		r.take(d, 0)
	}
	return nil
}

// execute runs the call that ends the response and inserts its result. Only the end of ctx is an
// error: whatever a tool does is recorded, and the policy sees an empty result.
func (s tools) execute(ctx context.Context, env *Env, r *response, turn int32, m callMarkers) error {
	began := env.now()
	call := s.record(env, r, turn, m, nil)
	var ids []int32
	result, err := "", errors.New("no start of a call in this turn")
	if call.Start < call.End && r.tokens[call.Start] == m.call {
		result, err = s.call(ctx, env, r, call)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		ids, err = env.Tokens.Encode(result)
		if err != nil {
			err = fmt.Errorf("the result is not in the policy's vocabulary: %w", err)
		}
	}
	if err != nil {
		ids, result = nil, ""
		call.Error = text(err.Error())
	}
	if len(ids) > s.o.MaxResultTokens {
		ids = ids[:s.o.MaxResultTokens]
		result = env.Tokens.Decode(ids)
	}
	call.Result, call.Price = text(result), s.o.Price
	insert := append([]int32{m.result}, ids...)
	insert = append(insert, m.endResult)
	call.Tokens = int32(len(insert))
	r.insert(traces.ToolResult, insert)
	r.tools += env.now().Sub(began)
	return nil
}

// record notes the call that ends the response: from the last call marker of this turn, or only
// the end marker where there is none.
func (s tools) record(env *Env, r *response, turn int32, m callMarkers, err error) *traces.ToolCall {
	end := int32(len(r.tokens))
	start, from := end-1, end-1
	for i := end - 2; i >= turn; i-- {
		if r.tokens[i] == m.call {
			start, from = i, i+1
			break
		}
	}
	arguments := text(env.Tokens.Decode(r.tokens[from : end-1]))
	c := traces.ToolCall{Name: "", Arguments: arguments, Start: start, End: end}
	if len(env.Tools) == 1 {
		c.Name = env.Tools[0].Name()
	} else if name, rest, _ := strings.Cut(strings.TrimSpace(arguments), " "); name != "" {
		c.Name, c.Arguments = name, rest
	}
	if err != nil {
		c.Error = err.Error()
	}
	r.recast(traces.ToolCallBy, start, end)
	r.calls = append(r.calls, c)
	return &r.calls[len(r.calls)-1]
}

// call runs the tool in a goroutine of its own, so that neither a hang nor a panic of it is ours.
// With several tools the first word of the call names one.
func (s tools) call(ctx context.Context, env *Env, r *response, c *traces.ToolCall) (string, error) {
	tool, ok := env.byName(c.Name)
	if !ok {
		return "", fmt.Errorf("no tool %q; there are %s", c.Name, env.toolNames())
	}
	limit := time.Duration(s.o.CallSeconds * float64(time.Second))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	problem, arguments := r.t.Problem, c.Arguments
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a = answer{err: fmt.Errorf("the tool panicked: %v", p)}
			}
			done <- a
		}()
		a.text, a.err = tool.Call(ctx, problem, arguments)
	}()
	select {
	case a := <-done:
		return a.text, a.err
	case <-ctx.Done():
		return "", fmt.Errorf("no result within %v", limit)
	}
}
