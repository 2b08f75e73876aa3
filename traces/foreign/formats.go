package foreign

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Targets are what a record can say of a trace. Each is read from the first of its sources that the
// record has.
var Targets = []string{
	"step", "group", "problem", "sample", "dataset", "level", "policy", // whose response it is
	"prompt", "text", "gold", // texts; text may be a list of chat messages
	"tokens", "logprobs", "prompt_tokens", "chars", // tokens: a count or a list of ids
	"correct", "score", "advantage", "formatted", // judgement
	"truncated", "finish", "mode", "turns", "temperature", "entropy", "tool_calls",
}

// Format says how a framework names its fields.
type Format struct {
	Name   string
	About  string
	Fields map[string][]string
	// Terms says that every further numeric field is a part of the reward.
	Terms bool
	// expand turns a record that holds several traces into one each; nil where it holds one.
	expand func(r *record) ([]*record, error)
}

// Formats are the shapes that are known by name. verl: trainer.rollout_data_dir, a file a step. TRL:
// log_completions, Parquet a step or JSON lines. prime-rl: rollouts/step_N/…/traces.jsonl, whose
// records are those of verifiers (messages, or token ids and log-probabilities). groups is the input
// of pith score. gsm8k-solutions is the layout of the solutions that were published with GSM8K.
var Formats = []Format{
	{
		Name: "trl", About: "TRL's log_completions: step, prompt, completion, a column a reward function, advantage",
		Fields: map[string][]string{
			"step": {"step"}, "prompt": {"prompt"}, "text": {"completion"}, "gold": {"answer", "solution", "ground_truth"}, "advantage": {"advantage"},
			"correct": {"accuracy_reward", "correctness_reward", "correct", "accuracy"}, "tokens": {"completion_ids", "completion_length", "num_tokens"},
			"logprobs": {"logprobs"}, "finish": {"finish_reason"}, "truncated": {"truncated"}, "policy": {"model"},
		},
		Terms: true,
	},
	{
		Name: "verl", About: "verl's trainer.rollout_data_dir: input, output, gts, score, step and the extra reward information",
		Fields: map[string][]string{
			"step": {"step"}, "prompt": {"input"}, "text": {"output"}, "gold": {"gts", "gt", "ground_truth"}, "score": {"score"}, "correct": {"acc"},
			"tokens": {"response_length", "response_ids"}, "dataset": {"data_source"}, "problem": {"uid"}, "truncated": {"truncated"}, "finish": {"finish_reason"},
		},
		Terms: true,
	},
	{
		Name: "prime-rl", About: "prime-rl's traces.jsonl: verifiers' prompt and completion messages, or token ids and log-probabilities, reward and metrics",
		Fields: map[string][]string{
			"step": {"step", "train_step", "ckpt_step"}, "problem": {"example_id", "problem_id", "id"}, "dataset": {"task", "env_name"}, "prompt": {"prompt"},
			"text": {"completion", "output"}, "gold": {"answer", "info.answer"}, "score": {"reward"}, "correct": {"metrics.correct_answer", "metrics.correct", "correct"},
			"advantage": {"advantage"}, "tokens": {"completion_ids", "tokens.completion_ids", "completion_len", "num_completion_tokens"},
			"logprobs": {"completion_logprobs", "tokens.completion_logprobs"}, "prompt_tokens": {"prompt_ids", "tokens.prompt_ids"},
			"truncated": {"is_truncated", "truncated"}, "finish": {"stop_condition", "finish_reason"}, "temperature": {"temperature", "sampling_args.temperature"}, "policy": {"model"},
		},
	},
	{
		Name: "groups", About: "pith's own groups, as pith score reads them",
		Fields: map[string][]string{
			"step": {"step"}, "group": {"group"}, "problem": {"problem.id"}, "gold": {"problem.gold"}, "level": {"problem.difficulty"}, "sample": {"sample"},
			"text": {"text"}, "correct": {"correct"}, "formatted": {"formatted"}, "truncated": {"truncated"}, "tokens": {"tokens"}, "mode": {"mode"},
			"turns": {"turns"}, "tool_calls": {"tool_calls"}, "entropy": {"entropy"}, "prompt": {"problem.prompt"}, "chars": {"chars"},
		},
		expand: expandGroup,
	},
	{
		Name: "gsm8k-solutions", About: "one question a line with the solutions of several models and whether they are right",
		Fields: map[string][]string{
			"problem": {"problem"}, "prompt": {"question"}, "gold": {"gold"}, "text": {"solution"}, "correct": {"is_correct"}, "policy": {"model"}, "dataset": {"dataset"},
		},
		expand: expandSolutions,
	},
}

// FormatNamed finds a format by name.
func FormatNamed(name string) (*Format, error) {
	var names []string
	for i := range Formats {
		if Formats[i].Name == name {
			return &Formats[i], nil
		}
		names = append(names, Formats[i].Name)
	}
	return nil, fmt.Errorf("no format %q; known: %s, auto", name, strings.Join(names, ", "))
}

// detect tells the format from the fields of a record.
func detect(values map[string]any) (*Format, error) {
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(name string) bool { _, ok := values[name]; return !ok })
	}
	name := ""
	switch {
	case has("group", "traces"):
		name = "groups"
	case has("input", "output"):
		name = "verl"
	case has("question", "ground_truth") && len(solvers(values)) > 0:
		name = "gsm8k-solutions"
	case has("completion") && (has("example_id") || has("completion_ids") || has("metrics") || has("reward", "answer") || has("tokens")):
		name = "prime-rl"
	case has("completion"):
		name = "trl"
	default:
		return nil, fmt.Errorf("no known format has the fields %s; name one with --format, and the fields with --field", strings.Join(slices.Sorted(maps.Keys(values)), ", "))
	}
	return FormatNamed(name)
}

// child is a record made of part of r.
func (r *record) child(values map[string]any) *record {
	return &record{values: values, file: r.file, line: r.line, format: r.format, fields: r.fields}
}

func expandGroup(r *record) ([]*record, error) {
	list, ok := r.values["traces"].([]any)
	if !ok {
		return nil, r.fault("traces", "want a list, got %s", kindOf(r.values["traces"]))
	}
	if _, ok := r.values["group"].(string); !ok {
		return nil, r.fault("group", "want a text, got %s", kindOf(r.values["group"]))
	}
	var out []*record
	for i, item := range list {
		trace, ok := item.(map[string]any)
		if !ok {
			return nil, r.fault(fmt.Sprintf("traces[%d]", i), "want an object, got %s", kindOf(item))
		}
		values := maps.Clone(trace)
		for _, name := range []string{"group", "step", "problem"} {
			if v, ok := r.values[name]; ok {
				values[name] = v
			}
		}
		out = append(out, r.child(values))
	}
	return out, nil
}

// solvers are the members of a line of gsm8k-solutions that hold a solution.
func solvers(values map[string]any) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if o, ok := values[name].(map[string]any); ok {
			if _, ok := o["solution"]; ok {
				names = append(names, name)
			}
		}
	}
	return names
}

func expandSolutions(r *record) ([]*record, error) {
	truth, ok := r.values["ground_truth"].(string)
	if !ok {
		return nil, r.fault("ground_truth", "want a text, got %s", kindOf(r.values["ground_truth"]))
	}
	gold := truth
	for _, mark := range []string{"\nA: ", "#### "} {
		if at := strings.LastIndex(truth, mark); at >= 0 {
			gold = strings.TrimSpace(truth[at+len(mark):])
			break
		}
	}
	names := solvers(r.values)
	if len(names) == 0 {
		return nil, r.fault("", "no member holds a solution")
	}
	var out []*record
	for _, name := range names {
		values := maps.Clone(r.values[name].(map[string]any)) // solvers has looked
		values["model"], values["question"], values["gold"], values["dataset"] = name, r.values["question"], gold, "gsm8k"
		values["problem"] = fmt.Sprintf("gsm8k-%05d", r.line)
		out = append(out, r.child(values))
	}
	return out, nil
}
