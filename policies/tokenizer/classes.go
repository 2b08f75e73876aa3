package tokenizer

import (
	"sync"
	"unicode"
)

// class is what the pattern can tell apart of a character.
type class = uint8

const (
	other  class = iota // neither letter, digit nor space
	letter              // \p{L}
	digit               // \p{N}
	space               // \s, but for \r and \n
	line                // \r and \n
)

// classes is the class of every code point below the end of the letters.
var classes = sync.OnceValue(func() []class {
	var end uint32
	for _, t := range []*unicode.RangeTable{unicode.L, unicode.N} {
		end = max(end, t.R32[len(t.R32)-1].Hi+1)
	}
	all := make([]class, end)
	fill := func(lo, hi, stride uint32, c class) {
		for r := lo; r <= hi; r += stride {
			all[r] = c
		}
	}
	for _, k := range []struct {
		table *unicode.RangeTable
		class class
	}{{unicode.L, letter}, {unicode.N, digit}, {unicode.White_Space, space}} {
		for _, r := range k.table.R16 {
			fill(uint32(r.Lo), uint32(r.Hi), uint32(r.Stride), k.class)
		}
		for _, r := range k.table.R32 {
			fill(r.Lo, r.Hi, r.Stride, k.class)
		}
	}
	for _, r := range letters16 {
		fill(r[0], r[1], 1, letter)
	}
	for _, r := range digits16 {
		fill(r[0], r[1], 1, digit)
	}
	all['\r'], all['\n'] = line, line
	return all
})

// letters16 and digits16 are the letters and numbers that Unicode 16 has and Unicode 15, the version
// of Go's tables, has not. The regular expressions of the Hugging Face tokenizers are at version 16.
var (
	letters16 = [][2]uint32{
		{0x1c89, 0x1c8a}, {0xa7cb, 0xa7cd}, {0xa7da, 0xa7dc}, {0x105c0, 0x105f3}, {0x10d4a, 0x10d65},
		{0x10d6f, 0x10d85}, {0x10ec2, 0x10ec4}, {0x11380, 0x11389}, {0x1138b, 0x1138b}, {0x1138e, 0x1138e},
		{0x11390, 0x113b5}, {0x113b7, 0x113b7}, {0x113d1, 0x113d1}, {0x113d3, 0x113d3}, {0x11bc0, 0x11be0},
		{0x13460, 0x143fa}, {0x16100, 0x1611d}, {0x16d40, 0x16d6c}, {0x18cff, 0x18cff}, {0x1e5d0, 0x1e5ed},
		{0x1e5f0, 0x1e5f0}, {0x2ebf0, 0x2ee5d},
	}
	digits16 = [][2]uint32{
		{0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9}, {0x16130, 0x16139}, {0x16d70, 0x16d79},
		{0x1ccf0, 0x1ccf9}, {0x1e5f1, 0x1e5fa},
	}
)
