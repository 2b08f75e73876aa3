package stats

import "math"

// Unit is what one seed contributes: columns of numbers over problems. A column's mean over the run
// is the ratio of sums ΣNum/ΣDen, so that a problem that was asked twice weighs double and one
// without a score not at all. For a comparison of two arms, the columns of both runs of a seed stand
// side by side and are paired by problem.
type Unit struct {
	Seed     uint64
	Problems []int       // numbers that are common to all units
	Num, Den [][]float64 // [column][problem]
}

// Pair puts the columns of two runs of one seed side by side, over the problems of both.
func Pair(a, b Unit) Unit {
	out := Unit{Seed: a.Seed}
	at := make(map[int]int, len(b.Problems))
	for i, p := range b.Problems {
		at[p] = i
	}
	ka, kb := len(a.Num), len(b.Num)
	out.Num, out.Den = make([][]float64, ka+kb), make([][]float64, ka+kb)
	for i, p := range a.Problems {
		j, ok := at[p]
		if !ok {
			continue
		}
		out.Problems = append(out.Problems, p)
		for k := range ka {
			out.Num[k], out.Den[k] = append(out.Num[k], a.Num[k][i]), append(out.Den[k], a.Den[k][i])
		}
		for k := range kb {
			out.Num[ka+k], out.Den[ka+k] = append(out.Num[ka+k], b.Num[k][j]), append(out.Den[ka+k], b.Den[k][j])
		}
	}
	return out
}

// means are the run's own figures; NaN where a column has nothing to divide by.
func (u *Unit) means() []float64 {
	out := make([]float64, len(u.Num))
	for k := range u.Num {
		var num, den float64
		for i := range u.Num[k] {
			num += u.Num[k][i]
			den += u.Den[k][i]
		}
		out[k] = math.NaN()
		if den > 0 {
			out[k] = num / den
		}
	}
	return out
}

// Means are the means of the columns over units: of each run first, then over runs.
func Means(units []Unit) []float64 {
	var out []float64
	for i := range units {
		for k, m := range units[i].means() {
			if i == 0 {
				out = append(out, 0)
			}
			out[k] += m / float64(len(units))
		}
	}
	return out
}
