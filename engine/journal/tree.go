package journal

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/weir-engine/weir/engine"
)

// Kinds of nodes in the encoding of a tree of values. Never reuse one.
const (
	nodeNull byte = iota + 1
	nodeFalse
	nodeTrue
	nodeInt
	nodeFloat
	nodeNumber
	nodeText
	nodeSecret
	nodeList
	nodeObject
)

// maxNesting bounds the depth of a tree that is read. The script host gives none
// that is half as deep.
const maxNesting = 10_000

// put writes a tree of values, the keys of objects sorted: equal trees have equal
// bytes. What is no value of a tree is a defect, and panics.
func (to *encoder) put(tree any) {
	switch node := tree.(type) {
	case nil:
		to.bytes = append(to.bytes, nodeNull)
	case bool:
		kind := nodeFalse
		if node {
			kind = nodeTrue
		}
		to.bytes = append(to.bytes, kind)
	case int:
		to.put(int64(node))
	case int64:
		to.bytes = binary.AppendVarint(append(to.bytes, nodeInt), node)
	case float64:
		to.bytes = binary.LittleEndian.AppendUint64(append(to.bytes, nodeFloat), math.Float64bits(node))
	case json.Number:
		to.bytes = append(to.bytes, nodeNumber)
		to.string(string(node))
	case string:
		to.bytes = append(to.bytes, nodeText)
		to.string(node)
	case engine.SecretRef:
		to.bytes = append(to.bytes, nodeSecret)
		to.string(string(node))
	case []any:
		to.bytes = binary.AppendUvarint(append(to.bytes, nodeList), uint64(len(node)))
		for _, child := range node {
			to.put(child)
		}
	case map[string]any:
		to.bytes = binary.AppendUvarint(append(to.bytes, nodeObject), uint64(len(node)))
		for _, key := range slices.Sorted(maps.Keys(node)) {
			to.string(key)
			to.put(node[key])
		}
	default:
		panic(fmt.Sprintf("journal: a %T is no value of a tree", tree))
	}
}

// get reads a tree of values.
func (d *decoder) get(depth int) any {
	if len(d.rest) == 0 || depth > maxNesting {
		d.bad = true
		return nil
	}
	kind := d.rest[0]
	d.rest = d.rest[1:]
	switch kind {
	case nodeNull:
		return nil
	case nodeFalse:
		return false
	case nodeTrue:
		return true
	case nodeInt:
		n, length := binary.Varint(d.rest)
		if length <= 0 {
			d.bad = true
			return nil
		}
		d.rest = d.rest[length:]
		return n
	case nodeFloat:
		if len(d.rest) < 8 {
			d.bad = true
			return nil
		}
		bits := binary.LittleEndian.Uint64(d.rest)
		d.rest = d.rest[8:]
		return math.Float64frombits(bits)
	case nodeNumber:
		return json.Number(d.bytes())
	case nodeText:
		return string(d.bytes())
	case nodeSecret:
		return engine.SecretRef(d.bytes())
	case nodeList:
		return d.list(depth)
	case nodeObject:
		return d.mapping(depth)
	}
	d.bad = true
	return nil
}

// count reads how many nodes follow, each of which takes a byte at least.
func (d *decoder) count() int {
	n, length := binary.Uvarint(d.rest)
	if length <= 0 || n > uint64(len(d.rest)) {
		d.bad = true
		return 0
	}
	d.rest = d.rest[length:]
	return int(n) //nolint:gosec // it is at most the length of rest
}

func (d *decoder) list(depth int) any {
	n := d.count()
	list := make([]any, 0, min(n, 1024))
	for i := 0; i < n && !d.bad; i++ {
		list = append(list, d.get(depth+1))
	}
	return list
}

func (d *decoder) mapping(depth int) any {
	n := d.count()
	object := make(map[string]any, min(n, 1024))
	for i := 0; i < n && !d.bad; i++ {
		key := string(d.bytes())
		object[key] = d.get(depth + 1)
	}
	return object
}
