package kernel

import "fmt"

// same panics unless all lengths equal n.
func same(n int, lengths ...int) {
	for _, l := range lengths {
		if l != n {
			panic(fmt.Sprintf("kernel: vectors of lengths %d and %d, want equal", n, l))
		}
	}
}

// Dot returns the sum of x[i]*y[i], fused, in 16 lanes.
func Dot(x, y []float32) float32 {
	same(len(x), len(y))
	return dot(x, y)
}

// Sum returns the sum of x in 16 lanes.
func Sum(x []float32) float32 { return sum(x) }

// SumSquares returns the sum of x[i]², fused, in 16 float32 lanes; right for rows of a model.
func SumSquares(x []float32) float32 { return Dot(x, x) }

// SumSquares64 returns the sum of x[i]² in 16 float64 lanes; right for the norm of a whole gradient.
func SumSquares64(x []float32) float64 {
	var acc [16]float64
	return sumSquares64Tail(x, sumSquares64(x, &acc), &acc)
}

// Max returns the largest element, ignoring NaNs; -Inf if there is none.
func Max(x []float32) float32 { return maxOf(x) }

// Axpy computes y[i] += a*x[i], fused.
func Axpy(a float32, x, y []float32) {
	same(len(x), len(y))
	axpy(a, x, y)
}

// Scale computes x[i] *= a.
func Scale(a float32, x []float32) { scale(a, x) }

// Add computes dst[i] = x[i] + y[i]; dst may be x or y.
func Add(dst, x, y []float32) {
	same(len(dst), len(x), len(y))
	add(dst, x, y)
}

// Mul computes dst[i] = x[i] * y[i]; dst may be x or y.
func Mul(dst, x, y []float32) {
	same(len(dst), len(x), len(y))
	mul(dst, x, y)
}

// MulAdd computes dst[i] += x[i] * y[i], fused.
func MulAdd(dst, x, y []float32) {
	same(len(dst), len(x), len(y))
	mulAdd(dst, x, y)
}

// Exp computes dst[i] = e^x[i] within 1 ulp: +Inf above 88.72, denormal and then 0 below
// -87.34, NaN for NaN. dst may be x.
func Exp(dst, x []float32) {
	same(len(dst), len(x))
	expOf(dst, x)
}

// ExpSumShift computes dst[i] = e^(x[i]-shift) and returns the sum of dst in 16 lanes: the middle
// of a softmax or a log-sum-exp. dst may be x.
func ExpSumShift(dst, x []float32, shift float32) float32 {
	same(len(dst), len(x))
	return expSumShift(dst, x, shift)
}

// Softmax turns x into probabilities in place and returns the log of the normaliser, that is
// log(sum of e^x[i]). The row must not be empty.
func Softmax(x []float32) (logSumExp float32) {
	shift := Max(x)
	sum := ExpSumShift(x, x, shift)
	Scale(1/sum, x)
	return shift + Log(sum)
}

// SiLUMul computes dst[i] = silu(gate[i]) * up[i], silu(g) = g/(1+e^-g); dst may be gate or up.
func SiLUMul(dst, gate, up []float32) {
	same(len(dst), len(gate), len(up))
	siluMul(dst, gate, up)
}

// SiLUMulGrad computes the gradients of [SiLUMul] for the upstream gradient dy; dgate and dup are
// overwritten and may be gate and up.
func SiLUMulGrad(dgate, dup, gate, up, dy []float32) {
	same(len(dgate), len(dup), len(gate), len(up), len(dy))
	siluMulGrad(dgate, dup, gate, up, dy)
}

// RMSNorm computes dst[i] = x[i]*rstd*w[i] with rstd = 1/sqrt(mean(x²)+eps), which it returns for
// the backward pass (Zhang & Sennrich 2019, section 4). dst may be x.
func RMSNorm(dst, x, w []float32, eps float32) (rstd float32) {
	same(len(dst), len(x), len(w))
	mean := SumSquares(x) / float32(max(len(x), 1))
	rstd = 1 / sqrt32(float32(mean+eps))
	rmsScale(dst, x, w, rstd)
	return rstd
}

// RMSNormGrad computes the gradients of [RMSNorm]: dx is overwritten, dw is added to. With
// h = x*rstd: dx = rstd*(w*dy - h*mean(w*dy*h)), dw += dy*h. dx may be dy but not x.
func RMSNormGrad(dx, dw, x, w, dy []float32, rstd float32) {
	same(len(dx), len(dw), len(x), len(w), len(dy))
	coef := float32(dot3(w, dy, x)*float32(rstd*rstd)) / float32(max(len(x), 1))
	rmsGrad(dx, dw, x, w, dy, rstd, coef)
}

// RotateHalf applies rotary position embedding to one head x in place, pairing element i with
// element i+len(x)/2 (Su et al. 2021, in the layout of Llama): cos and sin hold len(x)/2 values.
func RotateHalf(x, cos, sin []float32) {
	h := len(x) / 2
	same(len(x), 2*len(cos), 2*len(sin))
	rotate(x[:h], x[h:], cos, sin)
}

// RotateHalfInverse turns by the opposite angle, which is also the gradient of [RotateHalf].
func RotateHalfInverse(x, cos, sin []float32) {
	h := len(x) / 2
	same(len(x), 2*len(cos), 2*len(sin))
	// Exchanging the halves reverses the sense of rotation.
	rotate(x[h:], x[:h], cos, sin)
}

// AdamWParams are the settings of one AdamW step.
type AdamWParams struct {
	LR, Beta1, Beta2, Eps float32
	// WeightDecay is decoupled: the weight shrinks by LR*WeightDecay of itself.
	WeightDecay float32
	// GradScale multiplies the gradient first, for clipping by global norm; 0 means 1.
	GradScale float32
	// Step counts from 1, for the bias correction.
	Step int
}

// AdamW takes one step on the weights w with gradient g and moments m and v, all of one length
// (Loshchilov & Hutter 2019, algorithm 2, without its schedule multiplier):
//
//	m = Beta1*m + (1-Beta1)*g;  v = Beta2*v + (1-Beta2)*g²
//	w -= LR * (m/(1-Beta1^Step) / (sqrt(v/(1-Beta2^Step)) + Eps) + WeightDecay*w)
//
// Elements are independent, so a long vector may be stepped in pieces.
func AdamW(w, g, m, v []float32, p AdamWParams) {
	same(len(w), len(g), len(m), len(v))
	if p.Step < 1 {
		panic(fmt.Sprintf("kernel: AdamW step is %d, want at least 1", p.Step))
	}
	if p.GradScale == 0 {
		p.GradScale = 1
	}
	s := adamStep{
		gradScale: p.GradScale,
		beta1:     p.Beta1, oneMinusBeta1: float32(1 - float64(p.Beta1)),
		beta2: p.Beta2, oneMinusBeta2: float32(1 - float64(p.Beta2)),
		correct1: float32(1 / (1 - power(float64(p.Beta1), p.Step))),
		correct2: float32(1 / (1 - power(float64(p.Beta2), p.Step))),
		eps:      p.Eps, decay: p.WeightDecay, lr: p.LR,
	}
	adamW(w, g, m, v, &s)
}

// power is b^n by repeated squaring; math.Pow may differ between processors.
func power(b float64, n int) float64 {
	r := 1.0
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			r = float64(r * b)
		}
		b = float64(b * b)
	}
	return r
}

// AttendRow is attention of one query q of one head over n cached positions: key i is
// k[i*stride:][:len(q)] and likewise value i, which has len(out) elements. scratch needs n floats
// and receives the probabilities before normalisation.
//
// Scores are 16-lane dot products times scale; out is the sum over positions, in order and fused,
// of e^(score-max) times the value, multiplied at the end by the reciprocal of the sum of weights.
// It returns the log-sum-exp of the scores. n must be at least 1.
func AttendRow(out, q, k, v []float32, stride, n int, scale float32, scratch []float32) (logSumExp float32) {
	p := scratch[:n]
	DotRows(p, q, k, stride)
	Scale(scale, p)
	shift := Max(p)
	sum := ExpSumShift(p, p, shift)
	Gemm(false, false, 1, len(out), n, p, n, v, stride, 0, out, len(out))
	Scale(1/sum, out)
	return shift + Log(sum)
}

// DotRows computes dst[i] = Dot(q, row i), where row i is k[i*stride:][:len(q)].
func DotRows(dst, q, k []float32, stride int) {
	checkMatrix("k", len(dst), len(q), stride, k)
	for i := dotRows(dst, q, k, stride); i < len(dst); i++ {
		dst[i] = dot(q, k[i*stride:][:len(q)])
	}
}

// AddRows computes dst += the sum over i, in order and fused, of p[i]*row i, where row i is
// v[i*stride:][:len(dst)].
func AddRows(dst, p, v []float32, stride int) {
	checkMatrix("v", len(p), len(dst), stride, v)
	Gemm(false, false, 1, len(dst), len(p), p, max(len(p), 1), v, stride, 1, dst, max(len(dst), 1))
}
