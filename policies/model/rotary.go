package model

import (
	"fmt"
	"math"

	"pith/policies/model/portable"
)

// The ways in which [Rope] stretches rotary angles, by the names of config.json.
const (
	RopeLinear = "linear" // every frequency divided by Factor (Chen et al. 2023, arXiv 2306.15595)
	RopeLlama3 = "llama3" // low frequencies divided by Factor, high ones kept (Llama 3.1)
)

// Rope is how rotary angles are stretched beyond the context that a model was first trained on. The
// zero value is none.
type Rope struct {
	Type   string  `json:"rope_type,omitempty"` // "", linear or llama3
	Factor float64 `json:"factor,omitempty"`    // at least 1

	// Of llama3 only. With wavelengths in positions, those longer than Original/LowFreqFactor are
	// stretched, those shorter than Original/HighFreqFactor are not, and between the two the
	// frequency goes over smoothly.
	LowFreqFactor  float64 `json:"low_freq_factor,omitempty"`
	HighFreqFactor float64 `json:"high_freq_factor,omitempty"`
	Original       int     `json:"original_max_position_embeddings,omitempty"`
}

func (r Rope) validate() error {
	switch r.Type {
	case "":
		if r != (Rope{}) {
			return fmt.Errorf("rope has settings but no type")
		}
		return nil
	case RopeLinear:
		if r.LowFreqFactor != 0 || r.HighFreqFactor != 0 || r.Original != 0 {
			return fmt.Errorf("rope type linear has a factor only")
		}
	case RopeLlama3:
		if !(r.LowFreqFactor > 0) || !(r.HighFreqFactor > r.LowFreqFactor) || math.IsInf(r.HighFreqFactor, 0) || r.Original < 1 || r.Original > 1<<24 {
			return fmt.Errorf("rope type llama3 has low_freq_factor %v, high_freq_factor %v and original_max_position_embeddings %d, want 0 < low < high and 1 to %d positions",
				r.LowFreqFactor, r.HighFreqFactor, r.Original, 1<<24)
		}
	default:
		return fmt.Errorf("rope type %q is not supported, only default, %s and %s", r.Type, RopeLinear, RopeLlama3)
	}
	if !(r.Factor >= 1) || math.IsInf(r.Factor, 0) {
		return fmt.Errorf("rope factor is %v, want a finite number of at least 1", r.Factor)
	}
	return nil
}

// stretch is the frequency that takes the place of f, both in radians a position
// (transformers, modeling_rope_utils.py, _compute_llama3_parameters).
func (r Rope) stretch(f float64) float64 {
	switch r.Type {
	case RopeLinear:
		return f / r.Factor
	case RopeLlama3:
		// Original/wavelength, the turns that the pair makes in the original context.
		turns := float64(r.Original) * f / (2 * math.Pi)
		switch {
		case turns < r.LowFreqFactor:
			return f / r.Factor
		case turns > r.HighFreqFactor:
			return f
		}
		smooth := (turns - r.LowFreqFactor) / (r.HighFreqFactor - r.LowFreqFactor)
		return float64((1-smooth)*f/r.Factor) + float64(smooth*f)
	}
	return f
}

// Frequencies are the angular frequencies of the HeadDim/2 pairs of a head, in radians a position:
// RopeTheta^(-2j/HeadDim), stretched as Rope says. The functions used give the same bits on every
// platform.
func (c Config) Frequencies() []float64 {
	f := make([]float64, c.HeadDim/2)
	ln := portable.Log(c.RopeTheta)
	for j := range f {
		f[j] = c.Rope.stretch(portable.Exp(-2 * float64(j) / float64(c.HeadDim) * ln))
	}
	return f
}

// Rotary is the table of rotary angles (Su et al. 2021, arXiv 2104.09864) in the rotate-half
// layout: entry j < HeadDim/2 of position p is the cosine and sine of p times the j-th frequency.
type Rotary struct {
	Half     int       // HeadDim/2, the length of one row
	Cos, Sin []float32 // [positions, Half]
}

// NewRotary fills the table for positions below n from [Config.Frequencies]. Angles are computed in
// float64 by functions that give the same bits on every platform, and rounded once.
func NewRotary(frequencies []float64, n int) *Rotary {
	r := &Rotary{Half: len(frequencies)}
	r.Cos, r.Sin = make([]float32, n*r.Half), make([]float32, n*r.Half)
	for j, f := range frequencies {
		for p := range n {
			sin, cos := portable.SinCos(float64(p) * f)
			r.Cos[p*r.Half+j], r.Sin[p*r.Half+j] = float32(cos), float32(sin)
		}
	}
	return r
}

// At is the row of position p.
func (r *Rotary) At(p int) (cos, sin []float32) {
	return r.Cos[p*r.Half : (p+1)*r.Half], r.Sin[p*r.Half : (p+1)*r.Half]
}
