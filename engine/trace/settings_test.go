package trace_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/trace"
)

func TestEnvironment(t *testing.T) {
	t.Parallel()
	const base = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, test := range map[string]struct {
		env   map[string]string
		given string
		want  *trace.Settings
	}{
		"nothing":          {nil, "", nil},
		"switched off":     {map[string]string{base: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, "http://d:4318", nil},
		"no traces":        {map[string]string{base: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, "", nil},
		"a base":           {map[string]string{base: "http://c:4318/x/"}, "", &trace.Settings{Endpoint: "http://c:4318/x/v1/traces", Service: "weir", Sampler: "parentbased_always_on"}},
		"an address":       {map[string]string{base: "http://c:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t/in?k=1"}, "", &trace.Settings{Endpoint: "https://t/in", Service: "weir", Sampler: "parentbased_always_on"}},
		"one that is told": {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t/in"}, "http://d:4318", &trace.Settings{Endpoint: "http://d:4318/v1/traces", Service: "weir", Sampler: "parentbased_always_on"}},
		"all": {map[string]string{
			base: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "X-Key=a%20b, authorization=Bearer c=d", "OTEL_SERVICE_NAME": "mine",
			"OTEL_RESOURCE_ATTRIBUTES": "service.name=other,deployment.environment=test", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5",
			"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
		}, "", &trace.Settings{Endpoint: "http://c/v1/traces", Headers: []string{"authorization", "x-key"}, Service: "mine", Sampler: "traceidratio"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := trace.FromEnvironment(func(name string) string { return test.env[name] }, test.given)
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreUnexported(trace.Settings{})); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if text := fmt.Sprintf("%+v %#v", got, got); strings.Contains(text, "Bearer") || strings.Contains(text, "k=1") {
				t.Errorf("printed as %s", text)
			}
		})
	}
}

// TestBadEnvironment: each mistake is told, with the variable and without what it holds.
func TestBadEnvironment(t *testing.T) {
	t.Parallel()
	const canary = "canary-of-a-key"
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noPEM, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for variable, test := range map[string][2]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT":        {canary + ":4318", "no URL such as http://127.0.0.1:4318"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": {"http://me:" + canary + "@c:4318", "a password does not belong into an address"},
		"OTEL_EXPORTER_OTLP_PROTOCOL":        {"grpc", "http/protobuf only; collectors take it on port 4318"},
		"OTEL_EXPORTER_OTLP_HEADERS":         {"a=b,Bearer " + canary, "entry 2 is not key=value"},
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS":  {canary + " x=b", "entry 1 has no name of a header"},
		"OTEL_EXPORTER_OTLP_TIMEOUT":         {"10s", "a number of milliseconds"},
		"OTEL_EXPORTER_OTLP_COMPRESSION":     {"zstd", "gzip or none"},
		"OTEL_EXPORTER_OTLP_CERTIFICATE":     {noPEM, "holds no certificate"},
		"OTEL_EXPORTER_OTLP_CLIENT_KEY":      {"/nowhere.pem", "no such file"},
		"OTEL_TRACES_EXPORTER":               {"zipkin", "otlp or none"},
		"OTEL_TRACES_SAMPLER":                {canary, "always_on, always_off or traceidratio"},
		"OTEL_RESOURCE_ATTRIBUTES":           {"a=%zz", "entry 1 is not key=value"},
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
			env[variable] = test[0]
			got, err := trace.FromEnvironment(func(name string) string { return env[name] }, "")
			if got != nil || err == nil || !strings.Contains(err.Error(), test[1]) || strings.Contains(err.Error(), canary) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}
	if _, err := trace.FromEnvironment(func(name string) string { return env[name] }, ""); err == nil {
		t.Error("a ratio of 2 is taken")
	}
}

// BenchmarkW2 is the load of engine/local's benchmark of that name, with and without
// traces.
func BenchmarkW2(b *testing.B) {
	for _, traced := range []bool{false, true} {
		b.Run(fmt.Sprintf("traced=%t", traced), func(b *testing.B) {
			c := newCollector(b)
			var to *trace.Settings
			if traced {
				to = settings(b, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL})
			}
			r := newRig(b, b.TempDir(), to, nil)
			text := []byte(`for i = 1, 10 do task("FAKE", { payload = i }) end`)
			for b.Loop() {
				left := make(chan int, 1000)
				for i := range 1000 {
					left <- i
				}
				close(left)
				done := make(chan struct{})
				for range 100 {
					go func() {
						for range left {
							r.end(b, r.start(b, engine.Request{File: "bench.lua", Text: text}))
						}
						done <- struct{}{}
					}()
				}
				for range 100 {
					<-done
				}
			}
			b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "steps/s")
		})
	}
}
