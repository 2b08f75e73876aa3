package wire

import (
	"encoding/json"
	"strconv"
)

// Body writes a JSON object, field by field. The zero value is empty.
type Body struct{ b []byte }

// Bytes closes the object.
func (o *Body) Bytes() []byte {
	if len(o.b) == 0 {
		return []byte("{}")
	}
	return append(o.b, '}')
}

func (o *Body) key(name string) {
	if len(o.b) == 0 {
		o.b = append(o.b, '{')
	} else {
		o.b = append(o.b, ',')
	}
	o.b = append(strconv.AppendQuote(o.b, name), ':')
}

// IDs adds an array of token ids; several slices become one array.
func (o *Body) IDs(name string, parts ...[]int32) {
	o.key(name)
	o.b = append(o.b, '[')
	first := true
	for _, p := range parts {
		for _, t := range p {
			if !first {
				o.b = append(o.b, ',')
			}
			first = false
			o.b = strconv.AppendInt(o.b, int64(t), 10)
		}
	}
	o.b = append(o.b, ']')
}

// Int adds an integer.
func (o *Body) Int(name string, v int64) {
	o.key(name)
	o.b = strconv.AppendInt(o.b, v, 10)
}

// Float adds a number, in as many digits as it takes to get the same one back.
func (o *Body) Float(name string, v float64) {
	o.key(name)
	o.b = strconv.AppendFloat(o.b, v, 'g', -1, 64)
}

// Bool adds true or false.
func (o *Body) Bool(name string, v bool) {
	o.key(name)
	o.b = strconv.AppendBool(o.b, v)
}

// Text adds a string.
func (o *Body) Text(name, v string) {
	o.key(name)
	quoted, _ := json.Marshal(v) // a string always has a form
	o.b = append(o.b, quoted...)
}

// Raw adds what is JSON already.
func (o *Body) Raw(name, v string) {
	o.key(name)
	o.b = append(o.b, v...)
}

// Object adds what f writes.
func (o *Body) Object(name string, f func(*Body)) {
	o.key(name)
	var in Body
	f(&in)
	o.b = append(o.b, in.Bytes()...)
}
