package plot

import (
	"fmt"
	"strconv"
	"strings"
)

// svg writes a standalone picture that can also be put into HTML as it is. It uses no style sheet
// and no identifiers, so that any number of pictures share a page.
type svg struct{ b strings.Builder }

// num writes a coordinate with at most two decimals.
func num(x float64) string {
	s := strconv.FormatFloat(x, 'f', 2, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

func (s *svg) open(width, height float64, title, description string) {
	fmt.Fprintf(&s.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" role="img" aria-label="%s" font-family="%s">`+"\n",
		num(width), num(height), num(width), num(height), escape.Replace(title+". "+description), fontFamily)
	fmt.Fprintf(&s.b, `<rect width="%s" height="%s" fill="#fff"/>`+"\n", num(width), num(height))
}

func (s *svg) close() { s.b.WriteString("</svg>\n") }

func path(pts []point, closed bool) string {
	var b strings.Builder
	for i, p := range pts {
		command := "L"
		if i == 0 {
			command = "M"
		}
		b.WriteString(command + num(p.x) + " " + num(p.y))
	}
	if closed {
		b.WriteByte('Z')
	}
	return b.String()
}

// attributes of a stroke, with a leading blank.
func (st stroke) attributes() string {
	if st.width == 0 {
		return ""
	}
	a := fmt.Sprintf(` stroke="%s" stroke-width="%s"`, st.colour.hex(), num(st.width))
	if st.dash != nil {
		parts := make([]string, len(st.dash))
		for i, d := range st.dash {
			parts[i] = num(d)
		}
		a += ` stroke-dasharray="` + strings.Join(parts, " ") + `"`
	}
	return a
}

func (s *svg) polyline(pts []point, st stroke) {
	if len(pts) < 2 || st.width == 0 {
		return
	}
	fmt.Fprintf(&s.b, `<path d="%s" fill="none"%s stroke-linejoin="round"/>`+"\n", path(pts, false), st.attributes())
}

func (s *svg) polygon(pts []point, fill Colour, opacity float64, outline stroke) {
	translucent := ""
	if opacity < 1 {
		translucent = ` fill-opacity="` + num(opacity) + `"`
	}
	fmt.Fprintf(&s.b, `<path d="%s" fill="%s"%s%s/>`+"\n", path(pts, true), fill.hex(), translucent, outline.attributes())
}

func (s *svg) circle(c point, radius float64, fill Colour, outline stroke) {
	fmt.Fprintf(&s.b, `<circle cx="%s" cy="%s" r="%s" fill="%s"%s/>`+"\n", num(c.x), num(c.y), num(radius), fill.hex(), outline.attributes())
}

func (s *svg) text(at point, text string, l lettering) {
	more := ""
	switch l.anchor {
	case atMiddle:
		more = ` text-anchor="middle"`
	case atEnd:
		more = ` text-anchor="end"`
	}
	if l.bold {
		more += ` font-weight="700"`
	}
	if l.halo {
		more += ` stroke="#fff" stroke-width="3" stroke-linejoin="round" paint-order="stroke"`
	}
	fmt.Fprintf(&s.b, `<text x="%s" y="%s" font-size="%s" fill="%s"%s>%s</text>`+"\n",
		num(at.x), num(at.y), num(l.size), l.colour.hex(), more, escape.Replace(text))
}

func (s *svg) begin(hint string) {
	s.b.WriteString("<g>")
	if hint != "" {
		s.b.WriteString("<title>" + escape.Replace(hint) + "</title>")
	}
	s.b.WriteByte('\n')
}

func (s *svg) end() { s.b.WriteString("</g>\n") }
