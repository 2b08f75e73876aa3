package expr

import (
	"math"
	"math/cmplx"
)

// with evaluates a body with a bound variable set, and restores the variable after.
func (e *cmplxEval) with(name string, v complex128, body *Node) (complex128, error) {
	old, had := e.env[name]
	e.env[name] = v
	r, err := e.eval(body)
	if had {
		e.env[name] = old
	} else {
		delete(e.env, name)
	}
	return r, err
}

// series evaluates a sum or product between whole bounds; an upper bound of infinity is
// approached by doubling and extrapolation.
func (e *cmplxEval) series(n *Node) (complex128, error) {
	from, err := e.eval(n.Args[1])
	if err != nil {
		return 0, err
	}
	if isInf(n.Args[2]) == 1 {
		return e.endless(n, real(from))
	}
	to, err := e.eval(n.Args[2])
	if err != nil {
		return 0, err
	}
	lo, hi := real(from), real(to)
	if imag(from) != 0 || imag(to) != 0 || lo != math.Trunc(lo) || math.Abs(lo) > 1<<40 {
		return 0, ErrKind
	}
	if hi-lo > MaxTerms {
		return 0, ErrLimit
	}
	acc := complex128(0)
	if n.Kind == Prod {
		acc = 1
	}
	for k := lo; k <= hi; k++ {
		v, err := e.with(n.Name, complex(k, 0), n.Args[0])
		if err != nil {
			return 0, err
		}
		if n.Kind == Sum {
			acc += v
		} else {
			acc *= v
		}
	}
	return e.note(acc), nil
}

// endless sums to infinity: partial sums at 64, 128, … terms, extrapolated as a polynomial in the
// reciprocal of the number of terms (Neville's scheme), unless the terms have already died away.
func (e *cmplxEval) endless(n *Node, from float64) (complex128, error) {
	e.approximate = true
	acc := complex128(0)
	if n.Kind == Prod {
		acc = 1
	}
	const first, last, marks = 64, 2048, 6
	var xs [marks]float64
	var ys [marks]complex128
	seen := 0
	mark := first
	quiet := 0
	for k := range last {
		v, err := e.with(n.Name, complex(from+float64(k), 0), n.Args[0])
		if err != nil {
			return 0, err
		}
		change := v
		if n.Kind == Sum {
			acc += v
		} else {
			acc *= v
			change = v - 1
		}
		if cmplx.Abs(change) <= 1e-17*cmplx.Abs(acc) {
			if quiet++; quiet > 24 {
				return e.note(acc), nil
			}
		} else {
			quiet = 0
		}
		if k+1 == mark {
			xs[seen], ys[seen] = 1/(float64(k+1)+from), acc
			seen++
			mark *= 2
		}
	}
	return neville(xs[:seen], ys[:seen])
}

// neville extrapolates to x = 0, overwriting ys, and refuses when the last two orders disagree.
func neville(xs []float64, ys []complex128) (complex128, error) {
	previous := ys[len(ys)-1]
	for order := 1; order < len(ys); order++ {
		previous = ys[len(ys)-1]
		for i := len(ys) - 1; i >= order; i-- {
			w := xs[i] / (xs[i-order] - xs[i])
			ys[i] += (ys[i] - ys[i-1]) * complex(w, 0)
		}
	}
	best := ys[len(ys)-1]
	if cmplx.IsNaN(best) || cmplx.Abs(best-previous) > 1e-5*max(1, cmplx.Abs(best)) {
		return 0, ErrUndefined
	}
	return best, nil
}

// limit extrapolates from points that approach the limit from above (and, at infinity, from
// 2^k). A limit that exists only with a rate that is no power series is left undefined.
func (e *cmplxEval) limit(n *Node) (complex128, error) {
	e.approximate = true
	sign := isInf(n.Args[1])
	point := complex128(0)
	if sign == 0 {
		p, err := e.eval(n.Args[1])
		if err != nil {
			return 0, err
		}
		point = p
	}
	savedScale := e.scale
	var xs []float64
	var ys []complex128
	for k := 3; k <= 10; k++ {
		h := math.Ldexp(1, -k)
		at := point + complex(h, 0)
		if sign != 0 {
			at = complex(float64(sign)/h, 0)
		}
		v, err := e.with(n.Name, at, n.Args[0])
		if err != nil {
			return 0, err
		}
		xs, ys = append(xs, h), append(ys, v)
	}
	e.scale = savedScale
	return neville(xs, ys)
}

// derivative takes a central difference of fourth order.
func (e *cmplxEval) derivative(n *Node) (complex128, error) {
	e.approximate = true
	x, ok := e.env[n.Name]
	if !ok {
		return 0, ErrKind
	}
	const h = 1e-3
	var f [4]complex128
	for i, step := range [4]float64{-2, -1, 1, 2} {
		v, err := e.with(n.Name, x+complex(step*h, 0), n.Args[0])
		if err != nil {
			return 0, err
		}
		f[i] = v
	}
	return (f[0] - 8*f[1] + 8*f[2] - f[3]) / (12 * h), nil
}

// integral uses the double-exponential rule (Takahasi and Mori 1974), which bears integrable
// singularities at the ends. An indefinite integral is taken from 0 to the variable: right up to
// its constant.
func (e *cmplxEval) integral(n *Node) (complex128, error) {
	e.approximate = true
	var ends [2]complex128
	var inf [2]int
	if len(n.Args) == 3 {
		for i := range ends {
			if inf[i] = isInf(n.Args[i+1]); inf[i] == 0 {
				v, err := e.eval(n.Args[i+1])
				if err != nil {
					return 0, err
				}
				ends[i] = v
			}
		}
	} else {
		x, ok := e.env[n.Name]
		if !ok {
			return 0, ErrKind
		}
		ends[1] = x
	}
	// position maps t to the abscissa and its weight.
	position := func(t float64) (x, w complex128) {
		s, ds := math.Pi/2*math.Sinh(t), math.Pi/2*math.Cosh(t)
		switch {
		case inf[0] == -1 && inf[1] == 1:
			return complex(math.Sinh(s), 0), complex(math.Cosh(s)*ds, 0)
		case inf[1] == 1:
			return ends[0] + complex(math.Exp(s), 0), complex(math.Exp(s)*ds, 0)
		case inf[0] == -1:
			return ends[1] - complex(math.Exp(s), 0), complex(math.Exp(s)*ds, 0)
		}
		half := (ends[1] - ends[0]) / 2
		c := math.Cosh(s)
		return ends[0] + half + half*complex(math.Tanh(s), 0), half * complex(ds/(c*c), 0)
	}
	if inf[0] == 1 || inf[1] == -1 {
		return 0, ErrUndefined
	}
	const step = 1.0 / 32
	sum := complex128(0)
	for k := -112; k <= 112; k++ {
		x, w := position(float64(k) * step)
		if w == 0 || cmplx.IsInf(w) || cmplx.IsInf(x) || cmplx.IsNaN(w) || inf == [2]int{} && (x == ends[0] || x == ends[1]) {
			continue
		}
		v, err := e.with(n.Name, x, n.Args[0])
		if err != nil {
			return 0, err
		}
		if term := v * w; !cmplx.IsNaN(term) && !cmplx.IsInf(term) {
			sum += term
		}
	}
	return e.note(sum * step), nil
}

// isInf tells infinity (1), minus infinity (-1) and anything else (0) apart.
func isInf(n *Node) int {
	switch {
	case n.IsConst("inf"):
		return 1
	case n.Kind == Neg && n.Args[0].IsConst("inf"):
		return -1
	}
	return 0
}
