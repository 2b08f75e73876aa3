package clock

import "pith/datasets"

// What Version 1 generates.
const pinnedFingerprint = "sha256:55bbe648ecdf92f54af58979a6d67bd8f5b7b94b76cacefd0d914ec5cf8fdd06"

var pinnedProblems = []datasets.Problem{
	{ID: "2 +1 +4", Dataset: "clock", Level: 2, Prompt: "<bos> a 2 b +1 c +4 <think>", Answer: "7"},
	{ID: "4 -4 -1 *7 *3", Dataset: "clock", Level: 4, Prompt: "<bos> a 4 b -4 c -1 d *7 e *3 <think>", Answer: "9"},
	{ID: "2 -x +4 x=9", Dataset: "clock-tools", Level: 2, Prompt: "<bos> a 2 b -x c +4 <think>", Answer: "7", Hidden: map[string]string{"x": "9"}},
	{ID: "4 -4 -1 *7 *3", Dataset: "clock-tools", Level: 4, Prompt: "<bos> a 4 b -4 c -1 d *7 e *3 <think>", Answer: "9"},
	{ID: "3 *7 *3 -1 *7 +2", Dataset: "clock", Level: 5, Prompt: "<bos> a 3 b *7 c *3 d -1 e *7 f +2 <think>", Answer: "6"},
	{ID: "7 -2 +2 -2 +3 *7 -3", Dataset: "clock", Level: 6, Prompt: "<bos> a 7 b -2 c +2 d -2 e +3 f *7 g -3 <think>", Answer: "3"},
	{ID: "3 *7 *3 -1 *7 +2", Dataset: "clock-tools", Level: 5, Prompt: "<bos> a 3 b *7 c *3 d -1 e *7 f +2 <think>", Answer: "6"},
	{ID: "1 *7 -4 -x -1 +3 -2 x=6", Dataset: "clock-tools", Level: 6, Prompt: "<bos> a 1 b *7 c -4 d -x e -1 f +3 g -2 <think>", Answer: "7", Hidden: map[string]string{"x": "6"}},
}

var pinnedLessons = map[string][]string{
	"warm": {
		"<bos> a 8 b -5 <think> b 3 </think> 3 <eos>",
		"<bos> a 7 b +4 <think> </think> 1 <eos>",
		"<bos> a 8 b *7 <think> </think> 6 <eos>",
	},
	"default": {
		"<bos> a 8 b -5 c -4 <think> b 8 -5 = 3 ; c 3 -4 = 9 ; </think> 9 <eos>",
		"<bos> a 7 b +4 <think> </think> 1 <eos>",
		"<bos> a 8 b *7 c *3 <think> b 8 *7 = 6 ; c 6 *3 = 8 ; check b 8 *7 = 6 ; c 6 *3 = 8 <cut> </think> 8 <eos>",
	},
	"tool A": {
		"<bos> a 7 b +4 c -x d *7 e +1 <think> b 7 +4 = 1 ; = <tool> 1 c -x </tool> <result> 5 </result> c 5 ; d 5 *7 = 5 ; e 5 +1 = 6 ; check b 7 +4 = 1 ; = <tool> 1 c -x </tool> <result> 5 </result> c 5 ; d 5 *7 = 5 ; e 5 +1 = 6 ; </think> 6 <eos>",
		"<bos> a 4 b +2 c +3 d -3 e -x f +2 g -3 h *7 <think> b 4 +2 = 6 ; c 6 +3 = 7 ; d 7 -3 = 4 ; = <tool> 4 e -x f +2 g -3 h *7 </tool> <result> 8 </result> h 8 ; </think> 8 <eos>",
		"<bos> a 5 b -x c -5 <think> = <tool> 5 b -x </tool> <result> 4 </result> b 4 ; c 4 -5 = 9 ; </think> 9 <eos>",
	},
	"tool B": {
		"<bos> a 7 b +4 c -x d *7 e +1 <think> b 7 +4 = 1 ; = <tool> 1 c -x </tool> <result> 5 </result> c 5 ; d 5 *7 = 5 ; e 5 +1 = 6 ; check b 7 +4 = 1 ; = <tool> 1 c -x </tool> <result> 5 </result> c 5 ; d 5 *7 = 5 ; e 5 +1 = 6 ; </think> 6 <eos>",
		"<bos> a 4 b +2 c +3 d -3 e -x f +2 g -3 h *7 <think> b 4 +2 = 6 ; c 6 +3 = 7 ; d 7 -3 = 4 ; = <tool> 4 e +1 f +2 g -4 h *7 </tool> <result> 1 </result> h 1 ; check b 4 +2 = 6 ; c 6 +3 = 9 ; d 9 -3 = 6 ; = <tool> 6 e -x f +2 g -3 h *7 </tool> <result> 2 </result> h 2 ; </think> 2 <eos>",
		"<bos> a 5 b -x c -5 <think> = <tool> 5 b -x </tool> <result> 4 </result> b 4 ; c 4 -5 = 9 ; </think> 9 <eos>",
	},
}
