package main

import (
	"fmt"
	"testing"

	"github.com/weir-engine/weir/engine/api"
)

// BenchmarkAPIStart starts flows over the API, eight at a time: with an idempotency key
// and without.
func BenchmarkAPIStart(b *testing.B) {
	for _, keyed := range []bool{false, true} {
		b.Run(fmt.Sprintf("keyed=%t", keyed), func(b *testing.B) {
			s := newAPISite(b)
			c := s.client(s.token)
			n := make(chan int, 1)
			n <- 0
			b.SetParallelism(4)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					start := api.Start{Text: "return 1"}
					if keyed {
						next := <-n
						n <- next + 1
						start.Key = fmt.Sprint(next)
					}
					if _, err := c.Start(b.Context(), start); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
