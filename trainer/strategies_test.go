package trainer

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pith/configs"
	"pith/traces"
)

// little is the smallest run of a method with fewer samples, under further settings.
func little(t *testing.T, method string, set ...string) configs.Config {
	t.Helper()
	return smallest(t, method, append([]string{"rollout.samples_per_prompt=4", "eval.final_problems=8"}, set...)...)
}

// run trains a config, checks that its log reproduces it, and reads its traces and steps.
func runAndRead(t *testing.T, c configs.Config) (rows []traces.Trace, steps []traces.Step) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	trained(t, c, dir)
	if r := replayed(t, dir); r.Different != 0 || r.Traces == 0 {
		t.Errorf("%d of %d traces score differently: %s", r.Different, r.Traces, r.First)
	}
	if n := failed(t, dir); n > 0 {
		t.Errorf("%d traces failed", n)
	}
	run, err := traces.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	for row, err := range run.Traces(traces.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if err := traces.Validate(&row); err != nil {
			t.Error(err)
		}
		rows = append(rows, row)
	}
	for s, err := range run.Steps() {
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, s)
	}
	for _, s := range steps {
		if s.MismatchMax > 1e-3 {
			t.Errorf("step %d: log-probabilities of sampler and learner differ by up to %v", s.Step, s.MismatchMax)
		}
	}
	return rows, steps
}

func count(rows []traces.Trace, is func(*traces.Trace) bool) (n int) {
	for i := range rows {
		if is(&rows[i]) {
			n++
		}
	}
	return n
}

func TestHalfOfEveryGroupIsForcedNotToThinkAndLearnsFromIt(t *testing.T) {
	t.Parallel()
	rows, _ := runAndRead(t, little(t, "adaptthink"))
	forced := func(x *traces.Trace) bool { return x.KindAt(0) == traces.Forced }
	if got := count(rows, forced); got != len(rows)/2 {
		t.Errorf("%d of %d traces were forced", got, len(rows))
	}
	for i := range rows {
		x := &rows[i]
		if forced(x) && (x.Mode != "no-think" || x.LogProbs[0] != float32(math.Log(0.5)) || !x.Segments[0].Train) {
			t.Errorf("%s: mode %s, log-probability %v, segments %v", x.ID, x.Mode, x.LogProbs[0], x.Segments)
		}
	}
}

func TestTurnsAreRecordedGradedAndHaveTheirOwnAdvantages(t *testing.T) {
	t.Parallel()
	rows, _ := runAndRead(t, little(t, "mind"))
	several := func(x *traces.Trace) bool { return len(x.TurnRanges) > 1 }
	if count(rows, several) < len(rows)/2 {
		t.Errorf("only %d of %d responses have several turns", count(rows, several), len(rows))
	}
	differ := 0
	for i := range rows {
		x := &rows[i]
		if !several(x) {
			continue
		}
		if int(x.Turns) != len(x.TurnRanges) || x.TurnRanges[0].Score == nil || len(x.TokenAdvantages) != len(x.TurnRanges) {
			t.Errorf("%s: %d turns, ranges %+v, advantages %v", x.ID, x.Turns, x.TurnRanges, x.TokenAdvantages)
			continue
		}
		if x.TokenAdvantages[0].Value != x.TokenAdvantages[1].Value {
			differ++
		}
		last := x.TurnRanges[len(x.TurnRanges)-1]
		if right := *last.Score == 1; right != (x.Verdict == traces.Right) {
			t.Errorf("%s: the last turn scores %v, the verdict is %s", x.ID, *last.Score, x.Verdict)
		}
	}
	if differ == 0 {
		t.Error("no response has turns of different advantages")
	}
}

func TestOnlyTheRefinementIsTrainedOn(t *testing.T) {
	t.Parallel()
	rows, steps := runAndRead(t, little(t, "grpo", "rollout.strategy=refine", "rollout.params.train_draft=false", "rollout.params.draft_tokens=12", "optimizer.learning_rate=0.01"))
	want := int64(0)
	for i := range rows {
		x := &rows[i]
		if len(x.TurnRanges) != 2 {
			t.Fatalf("%s has turns %+v", x.ID, x.TurnRanges)
		}
		for _, s := range x.Segments {
			if s.Train != (s.Start >= x.TurnRanges[1].Start && s.Kind != traces.Injected) {
				t.Errorf("%s: segment %+v, the refinement begins at %d", x.ID, s, x.TurnRanges[1].Start)
			}
			if s.Train {
				want += int64(s.End - s.Start)
			}
		}
	}
	if got := steps[0].TrainedTokens + steps[1].TrainedTokens; got != want {
		t.Errorf("%d tokens were trained on, %d are refinements", got, want)
	}
}

func TestAHintStatesTheBudgetThatTheRewardReads(t *testing.T) {
	t.Parallel()
	rows, _ := runAndRead(t, little(t, "l1_exact", "data.token_budget.max=0", "data.token_budget.min=0", "data.token_budget.prompt=",
		"rollout.strategy=hints", "rollout.params.text=<unused0> {budget_digits}", "rollout.params.budget_min=10", "rollout.params.budget_max=50"))
	budgets := map[int32]bool{}
	for _, x := range rows {
		b := x.Reference.TokenBudget
		digits := strings.Join(strings.Split(string(rune('0'+b/10))+string(rune('0'+b%10)), ""), " ")
		if b < 10 || b > 50 || !strings.Contains(x.PromptText, "<unused0> "+digits+" <think>") {
			t.Errorf("%s: budget %d, prompt %q", x.ID, b, x.PromptText)
		}
		budgets[b] = true
	}
	if len(budgets) < 4 {
		t.Errorf("8 problems have the budgets %v", budgets)
	}
}

func TestLossesAreHeldToTheFrozenBasePolicy(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"k1", "k2", "k3"} {
		t.Run(kind, func(t *testing.T) {
			_, steps := runAndRead(t, little(t, "grpo", "loss.params.kl_coef=0.01", "loss.params.kl_kind="+kind, "loss.mini_batches=1", "optimizer.learning_rate=0.003", "optimizer.warmup_steps=0"))
			// Before the first update the policy is the base.
			if got := steps[0].ReferenceKL; math.Abs(got) > 1e-6 {
				t.Errorf("step 1: %v between the base policy and itself", got)
			}
			if got := steps[1].ReferenceKL; got == 0 || kind != "k1" && got < 0 {
				t.Errorf("step 2: %v between the base policy and one update of it", got)
			}
		})
	}
}

func TestDecoupledPPOReadsThePolicyAtTheStartOfTheStep(t *testing.T) {
	t.Parallel()
	// The clip is against the start of the step: with one mini-batch a step nothing is ever clipped,
	// however stale the data are.
	_, steps := runAndRead(t, little(t, "grpo", "run.steps=3", "rollout.max_staleness=1", "loss.kind=decoupled_ppo", "loss.mini_batches=1", "optimizer.learning_rate=0.003", "optimizer.warmup_steps=0"))
	stale := 0.0
	for _, s := range steps {
		if s.ClipLow+s.ClipHigh > 0 {
			t.Errorf("step %d: clipped %v below, %v above", s.Step, s.ClipLow, s.ClipHigh)
		}
		stale += s.StalenessMean
	}
	if stale == 0 {
		t.Error("no data were stale: the test shows nothing")
	}
	_, steps = runAndRead(t, little(t, "grpo", "loss.kind=decoupled_ppo", "loss.mini_batches=4", "optimizer.learning_rate=0.003", "optimizer.warmup_steps=0"))
	if steps[0].ClipLow+steps[0].ClipHigh == 0 {
		t.Error("four large updates a step, and nothing is clipped against its start")
	}
}

func TestPreferencesAreLearntFromPairs(t *testing.T) {
	t.Parallel()
	set := []string{"loss.kind=dpo", "loss.params=", "loss.aggregation=group_mean_token_sum", "loss.mini_batches=1", "optimizer.learning_rate=0.003", "optimizer.warmup_steps=0", "rollout.samples_per_prompt=6"}
	for _, c := range []struct {
		name string
		set  []string
		loss float64 // of the first update, when the policy is its own reference
	}{
		{"shortest before longest", nil, math.Ln2},
		{"conservative", []string{"loss.params.label_smoothing=0.2"}, math.Ln2},
		{"right before wrong", []string{"loss.pairs.rule=right_wrong", "loss.pairs.per_group=1"}, math.Ln2},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, steps := runAndRead(t, little(t, "grpo", append(slices.Clone(set), c.set...)...))
			if math.Abs(steps[0].Loss-c.loss) > 1e-6 || steps[1].Loss == steps[0].Loss {
				t.Errorf("loss %v, then %v, want %v and then another", steps[0].Loss, steps[1].Loss, c.loss)
			}
			for i := range rows {
				x := &rows[i]
				switch x.StatusReason {
				case "chosen":
					if x.Status != traces.Trained || x.Verdict != traces.Right {
						t.Errorf("%s was chosen and is %s, %s", x.ID, x.Verdict, x.Status)
					}
				case "rejected":
					if x.Status != traces.Trained {
						t.Errorf("%s was rejected and is %s", x.ID, x.Status)
					}
				default:
					if x.Status != traces.Filtered || !strings.HasPrefix(x.StatusReason, "no pair: ") {
						t.Errorf("%s is %s (%s)", x.ID, x.Status, x.StatusReason)
					}
				}
			}
			if count(rows, func(x *traces.Trace) bool { return x.StatusReason == "rejected" }) == 0 {
				t.Error("no pair was made")
			}
		})
	}
	t.Run("the preferred are imitated", func(t *testing.T) {
		rows, steps := runAndRead(t, little(t, "grpo", "loss.kind=sft", "loss.params=", "loss.pairs.rule=best_worst"))
		trained := func(x *traces.Trace) bool { return x.Status == traces.Trained }
		if n := count(rows, trained); n == 0 || n != count(rows, func(x *traces.Trace) bool { return x.StatusReason == "chosen" && x.Verdict == traces.Right }) || steps[0].Loss <= 0 {
			t.Errorf("%d of %d traces were imitated, loss %v", n, len(rows), steps[0].Loss)
		}
	})
}

func TestResponsesAreLoggedWithTheirLossUnderTheBasePolicy(t *testing.T) {
	t.Parallel()
	rows, _ := runAndRead(t, little(t, "optima"))
	for i := range rows {
		x := &rows[i]
		if x.BaseLoss == nil || !(*x.BaseLoss > 0) {
			t.Fatalf("%s has base loss %v", x.ID, x.BaseLoss)
		}
		if x.Step == 1 && x.Temperature == 1 { // the base policy drew it: its own log-probabilities say the same
			sum := 0.0
			for _, lp := range x.LogProbs {
				sum -= float64(lp)
			}
			if want := sum / float64(len(x.LogProbs)); math.Abs(*x.BaseLoss-want) > 1e-4 {
				t.Errorf("%s has base loss %v, its log-probabilities say %v", x.ID, *x.BaseLoss, want)
			}
		}
	}
}

func TestAMethodIsRefusedWhatItsRunCannotGive(t *testing.T) {
	for _, c := range []struct {
		name string
		set  []string
		want string
	}{
		{"budget scores", []string{"rewards.method=brpo"}, "rollout.strategy: method brpo needs budget_scores, scores at thinking budgets, which single does not give; set it to anytime"},
		{"calls", []string{"rewards.method=otc_grpo"}, "rollout.strategy: method otc_grpo needs tool_calls, and single executes no call; set it to tools, on a data.source with tools"},
		{"the first call", []string{"rewards.method=aspo"}, "rollout.strategy: method aspo needs first_tool_token"},
		{"a reference", []string{"rewards.method=adaptthink", "rollout.strategy=modes"}, "data.reference: method adaptthink needs problem.reference_accuracy, which the data do not have; set it to evaluation"},
		{"a budget", []string{"rewards.method=l1_max"}, "data.token_budget: method l1_max needs problem.token_budget"},
		{"turns", []string{"rewards.method=mind", "advantage.kind=turn"}, "rollout.strategy: method mind needs turn_ends, and responses of single are a single turn; set it to turns or refine"},
		{"grades of turns", []string{"advantage.kind=turn", "rollout.strategy=refine"}, "rollout.strategy: method grpo needs turn_scores, and refine grades no turn"},
		{"a critic", []string{"advantage.kind=gae"}, "advantage.kind: method grpo needs values, the estimates of a critic"},
		{"tools", []string{"rollout.strategy=tools"}, "rollout.strategy tools: this data has no tools (data.source clock, policy.base builtin:clock)"},
		{"a token", []string{"rollout.strategy=hints"}, `rollout.strategy hints: hint: the policy's vocabulary cannot write "Think for 0 tokens."`},
		{"pairs for a loss that compares none", []string{"loss.pairs.rule=best_worst"}, "loss.pairs: loss ppo compares no pairs; set loss.kind to dpo"},
		{"pairs by an unknown rule", []string{"loss.kind=dpo", "loss.params=", "loss.pairs.rule=luck"}, "loss.pairs: rule: "},
		{"pairs of one", []string{"loss.kind=dpo", "loss.params=", "rollout.samples_per_prompt=1"}, "loss.pairs: pairs need rollout.samples_per_prompt of at least 2"},
		{"confidence without visits", []string{"loss.kind=dpo", "loss.params=", "loss.params.confidence=advantage"}, "loss.pairs: loss.params.confidence advantage takes the confidence of a pair from visit counts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := configs.Load(configs.Sources{Presets: []string{"quickstart"}, Set: append([]string{"rewards.method=grpo"}, c.set...)})
			if err != nil {
				t.Fatal(err)
			}
			err = Check(config)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestTheDivergenceFromTheBasePolicyCanBeTakenFromTheReward(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"k1", "k3"} {
		rows, _ := runAndRead(t, little(t, "grpo", "rewards.kl.coef=0.05", "rewards.kl.kind="+kind, "optimizer.learning_rate=0.003", "optimizer.warmup_steps=0"))
		away := 0
		for i := range rows {
			x := &rows[i]
			right := 0.0
			if x.Verdict == traces.Right {
				right = 1
			}
			switch {
			case x.ReferenceKL == nil || math.Abs(x.Reward-(right-0.05**x.ReferenceKL)) > 1e-12 || x.Terms[1].Name != "reference_kl":
				t.Errorf("%s: divergence %v, reward %v, terms %v", x.ID, x.ReferenceKL, x.Reward, x.Terms)
			case x.Step == 1 && math.Abs(*x.ReferenceKL) > 1e-3:
				t.Errorf("%s was drawn from the base policy, its divergence is %v", x.ID, *x.ReferenceKL)
			case kind == "k3" && *x.ReferenceKL < 0:
				t.Errorf("%s: k3 gives %v", x.ID, *x.ReferenceKL)
			case math.Abs(*x.ReferenceKL) > 0.01:
				away++
			}
		}
		if away == 0 {
			t.Error("the policy never left the base")
		}
	}
}

func TestTheConfigsOfTheStrategiesPageWork(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "strategies.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	if len(blocks) < 10 {
		t.Fatalf("the page has %d configs", len(blocks))
	}
	for i, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := configs.Load(configs.Sources{Presets: []string{"quickstart"}, Files: []string{path}, Set: []string{
			"run.steps=1", "rollout.prompts_per_step=2", "rollout.samples_per_prompt=4", "rollout.max_tokens=40", "loss.mini_batches=1",
			"eval.every=0", "eval.final_problems=4", "eval.greedy=false", "log.report=false", "rewards.allow_inversions=[laser]",
		}})
		if err != nil {
			t.Errorf("config %d: %v\n%s", i+1, err, text)
			continue
		}
		if err := Check(c); err != nil {
			t.Errorf("config %d: %v\n%s", i+1, err, text)
			continue
		}
		if testing.Short() && i%5 != 0 {
			continue
		}
		trained(t, c, filepath.Join(t.TempDir(), "run"))
	}
}
