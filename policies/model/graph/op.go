package graph

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"sync/atomic"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Float is the arithmetic of a machine: float32 trains, float64 checks gradients.
type Float interface{ float32 | float64 }

// base is what every operation shares. Its methods are those of gorgonia.Op that say nothing about
// what is computed. Operations own their results, so none overwrites an input, and two instances
// never count as the same expression, however equal their parameters.
type base struct {
	name   string
	serial uint64
	in     []hm.Type
	out    hm.Type
	shape  tensor.Shape // of the result; nil for a scalar
}

var serials atomic.Uint64

func newBase(name string, out hm.Type, shape tensor.Shape, in ...hm.Type) base {
	return base{name: name, serial: serials.Add(1), in: in, out: out, shape: shape}
}

func (b *base) Arity() int { return len(b.in) }

func (b *base) Type() hm.Type {
	return hm.NewFnType(append(append([]hm.Type{}, b.in...), b.out)...)
}

func (b *base) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return b.shape, nil }

func (b *base) ReturnsPtr() bool     { return true }
func (b *base) CallsExtern() bool    { return false }
func (b *base) OverwritesInput() int { return -1 }

func (b *base) WriteHash(h hash.Hash) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], b.serial)
	h.Write([]byte(b.name))
	h.Write(n[:])
}

func (b *base) Hashcode() uint32 {
	h := fnv.New32a()
	b.WriteHash(h)
	return h.Sum32()
}

func (b *base) String() string { return fmt.Sprintf("%s#%d", b.name, b.serial) }

// dtype is the element type of T.
func dtype[T Float]() tensor.Dtype {
	var zero T
	if _, ok := any(zero).(float32); ok {
		return tensor.Float32
	}
	return tensor.Float64
}

// matrix and vector are the types of inputs and results.
func matrix[T Float]() hm.Type { return gorgonia.TensorType{Dims: 2, Of: dtype[T]()} }
func vector[T Float]() hm.Type { return gorgonia.TensorType{Dims: 1, Of: dtype[T]()} }
func tokenVector() hm.Type     { return gorgonia.TensorType{Dims: 1, Of: tensor.Int32} }

// typeOfShape is the type of a parameter.
func typeOfShape[T Float](shape []int) hm.Type {
	return gorgonia.TensorType{Dims: len(shape), Of: dtype[T]()}
}

// array is memory with the tensor header that Gorgonia passes around. An operation that owns one
// returns the same header on every run.
type array[T Float] struct {
	data   []T
	tensor *tensor.Dense
}

// newArray lays a tensor of the given shape over data.
func newArray[T Float](data []T, shape ...int) *array[T] {
	return &array[T]{data: data, tensor: tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))}
}

// floats is the memory behind a value.
func floats[T Float](v gorgonia.Value) []T { return v.Data().([]T) }

// tokenInput is the memory of the token input, an int32 vector of the machine's capacity.
type tokenInput struct{ data []int32 }

// Param is one parameter as the graph uses it: a view of the values and a view of the memory that
// gradients are added to. Grad is nil where no gradient is wanted.
type Param[T Float] struct {
	Name  string
	Shape []int
	Value []T
	Grad  []T
}

// pick returns the gradient of one parameter after the backward node that filled it has run: its
// input is that node, its value the view. It is how one backward operation yields several
// gradients.
type pick[T Float] struct {
	base
	grad *array[T]
}

func newPick[T Float](p Param[T]) *pick[T] {
	return &pick[T]{
		base: newBase("gradient of "+p.Name, typeOfShape[T](p.Shape), p.Shape, matrix[T]()),
		grad: newArray(p.Grad, p.Shape...),
	}
}

func (o *pick[T]) Do(...gorgonia.Value) (gorgonia.Value, error) { return o.grad.tensor, nil }

// picks applies one pick per parameter to a backward node.
func picks[T Float](backward *gorgonia.Node, params ...Param[T]) (gorgonia.Nodes, error) {
	nodes := make(gorgonia.Nodes, 0, len(params))
	for _, p := range params {
		n, err := gorgonia.ApplyOp(newPick(p), backward)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}
