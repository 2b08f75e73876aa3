package generate

// PagePositions lets tests place prompts on both sides of a page's edge.
const PagePositions = pagePositions

// Leaks is the number of pages in use or promised, which an empty decoder must not have.
func (d *Decoder) Leaks() int {
	n := 0
	for _, p := range d.pools {
		n += p.used + p.promised
	}
	return n
}
