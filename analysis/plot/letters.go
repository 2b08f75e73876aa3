package plot

import (
	"fmt"
	"sync"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
)

// Liberation Sans has the widths of Arial and Helvetica, which nearly every browser has: a picture
// measured with one is laid out right with the others.
const fontFamily = "'Liberation Sans',Arial,Helvetica,sans-serif"

var (
	regular = sync.OnceValue(func() *opentype.Font { return mustParse(liberationsansregular.TTF) })
	bold    = sync.OnceValue(func() *opentype.Font { return mustParse(liberationsansbold.TTF) })
)

func mustParse(ttf []byte) *opentype.Font {
	f, err := opentype.Parse(ttf)
	if err != nil {
		panic(fmt.Sprintf("plot: embedded font: %v", err)) // a test parses both
	}
	return f
}

// letters measures and holds faces at the sizes in use. One goroutine uses it.
type letters struct{ faces map[faceKey]font.Face }

type faceKey struct {
	size float64
	bold bool
}

func newLetters() *letters { return &letters{faces: map[faceKey]font.Face{}} }

func (l *letters) face(size float64, heavy bool) font.Face {
	key := faceKey{size, heavy}
	if f, ok := l.faces[key]; ok {
		return f
	}
	source := regular()
	if heavy {
		source = bold()
	}
	f, err := opentype.NewFace(source, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		panic(fmt.Sprintf("plot: face of size %v: %v", size, err)) // only for sizes that are none
	}
	l.faces[key] = f
	return f
}

// width returns the advance of a text in pixels.
func (l *letters) width(s string, style lettering) float64 {
	return float64(font.MeasureString(l.face(style.size, style.bold), s)) / 64
}

// bounds returns the area that a text covers.
func (l *letters) bounds(at point, s string, style lettering) rect {
	w := l.width(s, style)
	x := at.x
	switch style.anchor {
	case atMiddle:
		x -= w / 2
	case atEnd:
		x -= w
	}
	return rect{x, at.y - 0.75*style.size, x + w, at.y + 0.25*style.size}
}

// Lettering of the parts of a figure.
var (
	figureTitle = lettering{size: 16, bold: true, colour: Ink}
	subtitle    = lettering{size: 12.5, colour: Slate}
	panelTitle  = lettering{size: 12.5, bold: true, colour: Ink}
	tickLabel   = lettering{size: 11, colour: Slate}
	axisLabel   = lettering{size: 11.5, colour: Slate}
	seriesLabel = lettering{size: 11.5, bold: true, colour: Ink}
	pointLabel  = lettering{size: 11, colour: Ink, halo: true}
	ruleLabel   = lettering{size: 11, colour: Slate, halo: true}
)

func (l lettering) in(c Colour) lettering       { l.colour = c; return l }
func (l lettering) anchored(a anchor) lettering { l.anchor = a; return l }
