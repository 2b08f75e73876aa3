package sim

import "math"

// Speed is how fast one replica is, in seconds. A decode step of b sequences that have c tokens in
// the cache takes Step + PerSequence·b + PerCachedToken·c: reading the weights, computing each
// sequence's layers, reading each sequence's keys and values.
type Speed struct {
	Step           float64 `mapstructure:"step" yaml:"step" json:"step"`
	PerSequence    float64 `mapstructure:"per_sequence" yaml:"per_sequence" json:"per_sequence"`
	PerCachedToken float64 `mapstructure:"per_cached_token" yaml:"per_cached_token" json:"per_cached_token"`
	PerPromptToken float64 `mapstructure:"per_prompt_token" yaml:"per_prompt_token" json:"per_prompt_token"` // of prefill
}

// Shape is what of a model decides its speed.
type Shape struct {
	Parameters float64 // of the whole model
	Layers     int
	KVHeads    int
	HeadDim    int
	Bytes      float64 // of a weight and of a cached number
}

// Machine is what of an accelerator decides its speed.
type Machine struct {
	Bandwidth float64 // bytes/s of memory
	Compute   float64 // multiply-adds counted as two, per second
	Memory    float64 // bytes
	Reached   float64 // share of bandwidth and compute that kernels reach
	Overhead  float64 // seconds of a step that are neither: scheduler, launches, sampling
}

// CacheBytes is what one token takes in the cache.
func (s Shape) CacheBytes() float64 {
	return 2 * float64(s.Layers) * float64(s.KVHeads) * float64(s.HeadDim) * s.Bytes
}

// On is the speed of the model on a machine, by the roofline: a step reads the weights and the cache
// once and computes two operations per weight and sequence.
func (s Shape) On(m Machine) Speed {
	return Speed{
		Step:           s.Parameters*s.Bytes/(m.Bandwidth*m.Reached) + m.Overhead,
		PerSequence:    2 * s.Parameters / (m.Compute * m.Reached),
		PerCachedToken: s.CacheBytes() / (m.Bandwidth * m.Reached),
		PerPromptToken: 2 * s.Parameters / (m.Compute * m.Reached),
	}
}

// CacheTokens is how many tokens fit into what the weights leave of the memory.
func (s Shape) CacheTokens(m Machine, share float64) int {
	return int(max(0, m.Memory*share-s.Parameters*s.Bytes) / s.CacheBytes())
}

// take is how long k decode steps of b sequences take that begin with c tokens in the cache; each
// step adds a token of every sequence.
func (s Speed) take(k, b, c float64) float64 {
	return k*(s.Step+s.PerSequence*b+s.PerCachedToken*c) + s.PerCachedToken*b*k*(k-1)/2
}

// within is how many whole steps fit into a time: the inverse of take.
func (s Speed) within(t, b, c float64) float64 {
	if t <= 0 {
		return 0
	}
	// take(k) = a k² + d k
	a := s.PerCachedToken * b / 2
	d := s.Step + s.PerSequence*b + s.PerCachedToken*c - a
	var k float64
	if a == 0 {
		k = t / d
	} else {
		k = 2 * t / (d + math.Sqrt(d*d+4*a*t))
	}
	k = math.Floor(k)
	// Rounding may be a step off in either direction.
	for k > 0 && s.take(k, b, c) > t {
		k--
	}
	for s.take(k+1, b, c) <= t {
		k++
	}
	return k
}
