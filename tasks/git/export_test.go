package git

import (
	"bytes"
	"context"
	"os"

	"github.com/weir-engine/weir/tasks"
)

// Pretend makes a session believe that its server has another name.
func Pretend(s tasks.Session, host string) { s.(*session).repo.(*remote).target.host = host }

// ReadPack reads a pack and all objects in it, and gives how many there are.
func ReadPack(ctx context.Context, root *os.Root, data []byte) (int, error) {
	p, err := readPack(ctx, bytes.NewReader(data), packOptions{root: root, received: func(int64) {}})
	if err != nil {
		return 0, err
	}
	defer p.Close()
	r := p.reader()
	for h := range p.index {
		var b bytes.Buffer
		if err := r.copyTo(&b, h); err != nil {
			return 0, err
		}
	}
	return len(p.entries), nil
}
