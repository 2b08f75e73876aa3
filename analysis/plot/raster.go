package plot

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"slices"

	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// raster draws into an image at a number of device pixels a CSS pixel. The rasterizer accumulates
// coverage and saturates, so that overlapping shapes of one orientation are their union: a stroke is
// a quadrilateral for each of its parts and a disc for each joint.
type raster struct {
	img     *image.RGBA
	scale   float64
	letters *letters // at device sizes
	fill    *vector.Rasterizer
	shapes  [][]point // gathered for the next paint, in device pixels
}

func newRaster(width, height, scale float64) *raster {
	w, h := int(math.Ceil(width*scale)), int(math.Ceil(height*scale))
	r := &raster{img: image.NewRGBA(image.Rect(0, 0, w, h)), scale: scale, letters: newLetters(), fill: vector.NewRasterizer(1, 1)}
	draw.Draw(r.img, r.img.Bounds(), image.White, image.Point{}, draw.Src)
	return r
}

// paint fills the gathered shapes. Only their surroundings are rasterized.
func (r *raster) paint(c Colour, opacity float64) {
	defer func() { r.shapes = r.shapes[:0] }()
	low, high := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, pts := range r.shapes {
		for _, p := range pts {
			low.x, low.y = min(low.x, p.x), min(low.y, p.y)
			high.x, high.y = max(high.x, p.x), max(high.y, p.y)
		}
	}
	if low.x > high.x {
		return
	}
	area := image.Rect(int(math.Floor(low.x)), int(math.Floor(low.y)), int(math.Ceil(high.x))+1, int(math.Ceil(high.y))+1).Intersect(r.img.Bounds())
	if area.Empty() {
		return
	}
	r.fill.Reset(area.Dx(), area.Dy())
	for _, pts := range r.shapes {
		for i, p := range pts {
			x, y := float32(p.x-float64(area.Min.X)), float32(p.y-float64(area.Min.Y))
			if i == 0 {
				r.fill.MoveTo(x, y)
			} else {
				r.fill.LineTo(x, y)
			}
		}
		r.fill.ClosePath()
	}
	src := image.NewUniform(color.NRGBA{c.R, c.G, c.B, uint8(opacity*255 + 0.5)})
	r.fill.Draw(r.img, area, src, image.Point{})
}

// shape gathers a closed polygon, turned so that its orientation is always the same.
func (r *raster) shape(pts []point) {
	if len(pts) < 3 {
		return
	}
	area := 0.0
	device := make([]point, len(pts))
	for i, p := range pts {
		q := pts[(i+1)%len(pts)]
		area += p.x*q.y - q.x*p.y
		device[i] = point{p.x * r.scale, p.y * r.scale}
	}
	if area < 0 {
		slices.Reverse(device)
	}
	r.shapes = append(r.shapes, device)
}

// disc returns a circle as a polygon that is smooth at the device's resolution.
func (r *raster) disc(c point, radius float64) []point {
	n := max(12, int(2*math.Pi*math.Sqrt(radius*r.scale)*2))
	pts := make([]point, n)
	for i := range pts {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / float64(n))
		pts[i] = point{c.x + radius*cos, c.y + radius*sin}
	}
	return pts
}

func (r *raster) polyline(pts []point, st stroke) {
	if len(pts) < 2 || st.width == 0 {
		return
	}
	for _, piece := range dashes(pts, st.dash) {
		for i := 1; i < len(piece); i++ {
			a, b := piece[i-1], piece[i]
			length := math.Hypot(b.x-a.x, b.y-a.y)
			if length == 0 {
				continue
			}
			nx, ny := -(b.y-a.y)/length*st.width/2, (b.x-a.x)/length*st.width/2
			r.shape([]point{{a.x + nx, a.y + ny}, {b.x + nx, b.y + ny}, {b.x - nx, b.y - ny}, {a.x - nx, a.y - ny}})
			if i < len(piece)-1 {
				r.shape(r.disc(b, st.width/2))
			}
		}
	}
	r.paint(st.colour, 1)
}

// dashes cuts a polyline into the pieces that are drawn.
func dashes(pts []point, pattern []float64) [][]point {
	if len(pattern) == 0 {
		return [][]point{pts}
	}
	var pieces [][]point
	current := []point{pts[0]}
	index, left := 0, pattern[0]
	for i := 1; i < len(pts); i++ {
		a, b := pts[i-1], pts[i]
		length := math.Hypot(b.x-a.x, b.y-a.y)
		for done := 0.0; done < length; {
			step := min(left, length-done)
			done += step
			left -= step
			p := point{a.x + (b.x-a.x)*done/length, a.y + (b.y-a.y)*done/length}
			if index%2 == 0 {
				current = append(current, p)
			}
			if left <= 0 {
				if index%2 == 0 {
					pieces = append(pieces, current)
				}
				index = (index + 1) % len(pattern)
				left = pattern[index]
				current = []point{p}
			}
		}
	}
	if index%2 == 0 && len(current) > 1 {
		pieces = append(pieces, current)
	}
	return pieces
}

func (r *raster) polygon(pts []point, fill Colour, opacity float64, outline stroke) {
	r.shape(pts)
	r.paint(fill, opacity)
	if outline.width > 0 {
		// Beginning in the middle of an edge gives every corner a joint.
		last, first := pts[len(pts)-1], pts[0]
		middle := point{(last.x + first.x) / 2, (last.y + first.y) / 2}
		closed := append([]point{middle}, pts...)
		r.polyline(append(closed, middle), outline)
	}
}

func (r *raster) circle(c point, radius float64, fill Colour, outline stroke) {
	if outline.width > 0 {
		r.shape(r.disc(c, radius+outline.width/2))
		r.paint(outline.colour, 1)
		radius -= outline.width / 2
	}
	r.shape(r.disc(c, radius))
	r.paint(fill, 1)
}

func (r *raster) text(at point, s string, l lettering) {
	device := l
	device.size *= r.scale
	x := at.x * r.scale
	switch w := r.letters.width(s, device); l.anchor {
	case atMiddle:
		x -= w / 2
	case atEnd:
		x -= w
	}
	y := at.y * r.scale
	put := func(dx, dy float64, c Colour) {
		d := font.Drawer{
			Dst: r.img, Src: image.NewUniform(color.NRGBA{c.R, c.G, c.B, 0xff}), Face: r.letters.face(device.size, device.bold),
			Dot: fixed.Point26_6{X: fixed.Int26_6((x+dx)*64 + 0.5), Y: fixed.Int26_6((y+dy)*64 + 0.5)},
		}
		d.DrawString(s)
	}
	if l.halo {
		for i := range 12 {
			sin, cos := math.Sincos(math.Pi * float64(i) / 6)
			put(1.5*r.scale*cos, 1.5*r.scale*sin, White)
		}
	}
	put(0, 0, l.colour)
}

func (r *raster) begin(string) {}
func (r *raster) end()         {}
