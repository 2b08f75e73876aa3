package latex

// commands maps LaTeX commands, without their backslash, to tokens. Commands that are absent
// here and in the other tables of this file become variables of their own name.
var commands = map[string]token{
	"cdot": op("*"), "times": op("*"), "ast": op("*"), "div": op("/"), "pm": op("+-"), "mp": op("-+"),
	"le": op("<="), "leq": op("<="), "leqslant": op("<="), "leqq": op("<="), "ge": op(">="), "geq": op(">="),
	"geqslant": op(">="), "geqq": op(">="), "lt": op("<"), "gt": op(">"), "ne": op("!="), "neq": op("!="),
	"approx": op("~"), "simeq": op("~"), "sim": op("~"), "doteq": op("~"), "equiv": op("≡"), "cong": op("≡"),
	"in": op("in"), "ni": op("ni"), "notin": op("notin"), "subset": op("subset"), "subseteq": op("subset"),
	"to": op("->"), "rightarrow": op("->"), "Rightarrow": op("=>"), "implies": op("=>"), "mapsto": op("->"),
	"cup": op("cup"), "bigcup": op("cup"), "cap": op("cap"), "bigcap": op("cap"), "setminus": op("setminus"), "backslash": op("setminus"),
	"land": op("and"), "wedge": op("and"), "lor": op("or"), "vee": op("or"),
	"mid": op("mid"), "vert": op("|"), "lvert": op("|"), "rvert": op("|"), "Vert": op("|"), "lVert": op("|"), "rVert": op("|"), "|": op("|"),
	"colon": op(":"), "%": op("%"), "&": op(","), "degree": op("°"), "prime": op("'"),
	"lbrace": open("{"), "rbrace": shut("}"), "{": open("{"), "}": shut("}"),
	"langle": open("<"), "rangle": shut(">"), "lfloor": open("⌊"), "rfloor": shut("⌋"),
	"lceil": open("⌈"), "rceil": shut("⌉"), "lbrack": open("["), "rbrack": shut("]"),
	"lgroup": open("("), "rgroup": shut(")"),
	"infty": constant("inf"), "infin": constant("inf"), "pi": constant("pi"), "imath": constant("i"), "ii": constant("i"),
	"emptyset": {kind: tEmpty}, "varnothing": {kind: tEmpty}, "O": {kind: tEmpty},
	"R": symbol("R_set"), "Z": symbol("Z_set"), "N": symbol("N_set"), "Q": symbol("Q_set"), "C": symbol("C_set"),
	"reals": symbol("R_set"), "Re": function("re"), "Im": function("im"),
	"dots": symbol("dots"), "ldots": symbol("dots"), "cdots": symbol("dots"), "dotsc": symbol("dots"), "vdots": symbol("dots"), "ddots": symbol("dots"),
	"varepsilon": symbol("epsilon"), "varphi": symbol("phi"), "vartheta": symbol("theta"), "ell": symbol("l"),
	"frac": {kind: tFrac}, "dfrac": {kind: tFrac}, "tfrac": {kind: tFrac}, "cfrac": {kind: tFrac}, "nicefrac": {kind: tFrac}, "sfrac": {kind: tFrac},
	"binom": {kind: tBinom}, "dbinom": {kind: tBinom}, "tbinom": {kind: tBinom}, "choose": op("choose"), "over": op("over"),
	"sqrt": {kind: tRoot, text: "2"}, "cbrt": {kind: tRoot, text: "3"},
	"sum": {kind: tSeries, text: "sum"}, "prod": {kind: tSeries, text: "prod"}, "int": {kind: tIntegral}, "lim": {kind: tLimit},
	"bmod": op("mod"), "mod": op("mod"), "pmod": {kind: tPmod}, "overline": {kind: tOverline}, "bar": {kind: tOverline},
	"angle": {kind: tSkip}, "triangle": {kind: tSkip},
	"partial": symbol("d"), "differentialD": symbol("d"),
}

// functions maps the names of functions, as commands or plain words, to those of package expr.
var functions = map[string]string{
	"sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc", "tg": "tan", "ctg": "cot", "cosec": "csc",
	"sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "coth": "coth",
	"arcsin": "arcsin", "arccos": "arccos", "arctan": "arctan", "arccot": "arccot", "arcsec": "arcsec", "arccsc": "arccsc", "arctg": "arctan",
	"asin": "arcsin", "acos": "arccos", "atan": "arctan", "arcsinh": "arsinh", "arccosh": "arcosh", "arctanh": "artanh",
	"asinh": "arsinh", "acosh": "arcosh", "atanh": "artanh", "arsinh": "arsinh", "arcosh": "arcosh", "artanh": "artanh",
	"ln": "ln", "log": "log", "lg": "lg", "exp": "exp", "abs": "abs", "floor": "floor", "ceil": "ceil", "round": "round",
	"max": "max", "min": "min", "gcd": "gcd", "lcm": "lcm", "sgn": "sgn", "sign": "sgn", "arg": "arg", "det": "det",
	"factorial": "fact", "binomial": "binom", "comb": "binom", "Arg": "arg", "Max": "max", "Min": "min",
}

// words are plain words with a meaning of their own.
var words = map[string]token{
	"sqrt": {kind: tRoot, text: "2"}, "cbrt": {kind: tRoot, text: "3"}, "pi": constant("pi"), "Pi": constant("pi"),
	"infinity": constant("inf"), "Infinity": constant("inf"), "inf": constant("inf"), "infty": constant("inf"), "oo": constant("inf"), "INF": constant("inf"),
	"or": op("or"), "and": op("and"), "union": op("cup"), "intersection": op("cap"), "mod": op("mod"),
	"percent": op("%"), "percentage": op("%"), "pct": op("%"), "degrees": op("°"), "degree": op("°"), "deg": op("°"),
	"alpha": symbol("alpha"), "beta": symbol("beta"), "gamma": symbol("gamma"), "theta": symbol("theta"), "lambda": symbol("lambda"), "phi": symbol("phi"), "omega": symbol("omega"),
	"million": scale("1000000"), "billion": scale("1000000000"), "trillion": scale("1000000000000"), "thousand": scale("1000"),
	"plus": op("+"), "minus": op("-"), "times": op("*"),
}

// runes maps Unicode mathematics to tokens.
var runes = map[rune]token{
	'×': op("*"), '·': op("*"), '⋅': op("*"), '∙': op("*"), '•': op("*"), '∗': op("*"), '÷': op("/"), '∕': op("/"), '⁄': op("/"),
	'−': op("-"), '–': op("-"), '—': op("-"), '‐': op("-"), '﹣': op("-"), '－': op("-"), '＋': op("+"), '±': op("+-"), '∓': op("-+"),
	'≤': op("<="), '⩽': op("<="), '≥': op(">="), '⩾': op(">="), '≠': op("!="), '≈': op("~"), '≡': op("≡"), '∼': op("~"), '＝': op("="),
	'∈': op("in"), '∪': op("cup"), '∩': op("cap"), '∖': op("setminus"), '→': op("->"), '⇒': op("=>"), '∧': op("and"), '∨': op("or"),
	'∞': constant("inf"), 'π': constant("pi"), '𝜋': constant("pi"), '∅': {kind: tEmpty}, '⌀': {kind: tEmpty}, 'ø': {kind: tEmpty},
	'√': {kind: tRoot, text: "2"}, '∛': {kind: tRoot, text: "3"}, '∜': {kind: tRoot, text: "4"},
	'∑': {kind: tSeries, text: "sum"}, '∏': {kind: tSeries, text: "prod"}, '∫': {kind: tIntegral},
	'⌊': open("⌊"), '⌋': shut("⌋"), '⌈': open("⌈"), '⌉': shut("⌉"), '⟨': open("<"), '⟩': shut(">"),
	'（': open("("), '）': shut(")"), '，': op(","), '、': op(","), '；': op(";"), '：': op(":"), '∶': op(":"),
	'°': op("°"), 'º': op("°"), '˚': op("°"), '′': op("'"), '’': op("'"), '％': op("%"), '∣': op("|"), '⋯': symbol("dots"), '…': symbol("dots"),
	'ℝ': symbol("R_set"), 'ℤ': symbol("Z_set"), 'ℕ': symbol("N_set"), 'ℚ': symbol("Q_set"), 'ℂ': symbol("C_set"), '∠': {kind: tSkip}, '△': {kind: tSkip},
	'½': fraction("1/2"), '⅓': fraction("1/3"), '⅔': fraction("2/3"), '¼': fraction("1/4"), '¾': fraction("3/4"), '⅕': fraction("1/5"),
	'⅖': fraction("2/5"), '⅗': fraction("3/5"), '⅘': fraction("4/5"), '⅙': fraction("1/6"), '⅚': fraction("5/6"), '⅛': fraction("1/8"),
	'⅜': fraction("3/8"), '⅝': fraction("5/8"), '⅞': fraction("7/8"),
	'α': symbol("alpha"), 'β': symbol("beta"), 'γ': symbol("gamma"), 'δ': symbol("delta"), 'ε': symbol("epsilon"), 'ϵ': symbol("epsilon"),
	'θ': symbol("theta"), 'λ': symbol("lambda"), 'μ': symbol("mu"), 'ρ': symbol("rho"), 'σ': symbol("sigma"), 'τ': symbol("tau"), 'φ': symbol("phi"), 'ϕ': symbol("phi"), 'ω': symbol("omega"),
}

// supers and subs map raised and lowered digits and signs.
var supers = map[rune]byte{'⁰': '0', '¹': '1', '²': '2', '³': '3', '⁴': '4', '⁵': '5', '⁶': '6', '⁷': '7', '⁸': '8', '⁹': '9', '⁻': '-', '⁺': '+', 'ⁿ': 'n'}
var subs = map[rune]byte{'₀': '0', '₁': '1', '₂': '2', '₃': '3', '₄': '4', '₅': '5', '₆': '6', '₇': '7', '₈': '8', '₉': '9'}

// spacing commands carry no meaning.
var spacing = map[string]bool{
	",": true, ";": true, ":": true, "!": true, " ": true, ">": true, "quad": true, "qquad": true, "thinspace": true, "enspace": true, "space": true,
	"displaystyle": true, "textstyle": true, "scriptstyle": true, "limits": true, "nolimits": true, "big": true, "Big": true, "bigg": true, "Bigg": true,
	"bigl": true, "bigr": true, "Bigl": true, "Bigr": true, "biggl": true, "biggr": true, "Biggl": true, "Biggr": true, "bigm": true, "left": true, "right": true, "middle": true,
	"rm": true, "bf": true, "it": true, "sf": true, "tt": true, "boldmath": true, "small": true, "large": true, "Large": true, "LARGE": true, "huge": true, "nonumber": true, "notag": true, "hfill": true, "newline": true,
	"/": true, "$": true,
}

// transparent commands wrap their argument without changing what it means.
var transparent = map[string]bool{
	"mathbf": true, "boldsymbol": true, "bm": true, "mathcal": true, "mathit": true, "mathsf": true, "mathtt": true, "mathfrak": true, "mathscr": true,
	"vec": true, "hat": true, "widehat": true, "tilde": true, "widetilde": true, "overrightarrow": true, "underline": true, "boxed": true, "fbox": true,
	"displaylines": true, "mathop": true, "ensuremath": true, "mathstrut": true, "cancel": true, "dot": true,
}

// textual commands hold words.
var textual = map[string]bool{
	"text": true, "textbf": true, "textit": true, "textrm": true, "textsf": true, "texttt": true, "mathrm": true, "mbox": true, "hbox": true, "operatorname": true, "textnormal": true, "emph": true, "textup": true, "textsc": true, "mathnormal": true,
}

// ignoredWithArgument are dropped together with their argument.
var ignoredWithArgument = map[string]bool{"phantom": true, "hphantom": true, "vphantom": true, "hspace": true, "vspace": true, "tag": true, "label": true, "color": true}

// units are dropped after a number. Single letters are not here: they may be variables.
var units = setOf(
	"mm", "cm", "dm", "in", "km", "kg", "mg", "lb", "lbs", "oz", "ft", "yd", "mi", "mph", "kph", "kmh", "ml", "mL", "sec", "secs", "mins", "hr", "hrs", "ms",
	"Hz", "kHz", "kJ", "kW", "kWh", "Pa", "kPa", "atm", "mol", "cc", "sq", "cu", "rad", "USD", "EUR", "GBP", "cents", "cent", "th", "st", "nd", "rd", "pts", "gal",
)

func setOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}
