package trace

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings say where traces go, and which. They come from the variables that all
// programs with OpenTelemetry have in common.
type Settings struct {
	// Endpoint is where spans are posted. Unlike the address that is used, it has no
	// query, which may hold a key.
	Endpoint string
	Headers  []string // names of what goes with each request, sorted
	Service  string   // what the traces call this program
	Sampler  string   // "parentbased_always_on" and the like

	sampler    sampler
	attributes [][2]string // of the resource, but for its name
	wire       *wire
}

// wire is what is needed to send. It is behind a pointer, so that nothing that prints
// settings shows it.
type wire struct {
	url     string
	headers http.Header
	timeout time.Duration
	gzip    bool
	tls     *tls.Config
}

// FromEnvironment reads settings. The endpoint, if it is not empty, goes before that of
// the environment; it is a base as OTEL_EXPORTER_OTLP_ENDPOINT is, to which v1/traces is
// added. Without any, or if they are switched off, there are no traces: it gives nil.
// No error holds a value.
func FromEnvironment(getenv func(string) string, endpoint string) (*Settings, error) {
	if strings.EqualFold(strings.TrimSpace(getenv("OTEL_SDK_DISABLED")), "true") || getenv("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil
	}
	env := environment(getenv)
	name, address, err := env.endpoint(endpoint)
	if address == nil && err == nil {
		return nil, nil
	}
	s := &Settings{Service: "weir", wire: &wire{}}
	faults := []error{err}
	if address != nil {
		s.wire.url = address.String()
		shown := *address
		shown.RawQuery = ""
		s.Endpoint = shown.String()
	}
	if of, is := env.signal("PROTOCOL"); is != "" && is != "http/protobuf" {
		faults = append(faults, fmt.Errorf("%s: traces are sent by http/protobuf only; collectors take it on port 4318", of))
	}
	if is := getenv("OTEL_TRACES_EXPORTER"); is != "" && is != "otlp" {
		faults = append(faults, errors.New("OTEL_TRACES_EXPORTER: it is otlp or none"))
	}
	for _, read := range []func(environment, *Settings) error{readHeaders, readWire, readTLS, readResource, readSampler} {
		faults = append(faults, read(env, s))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if name == "" {
		return nil, nil
	}
	return s, nil
}

// environment gives variables.
type environment func(string) string

// signal gives the variable of the exporter that counts for traces.
func (env environment) signal(name string) (variable, value string) {
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_TRACES_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value := strings.TrimSpace(env(variable)); value != "" {
			return variable, value
		}
	}
	return "OTEL_EXPORTER_OTLP_" + name, ""
}

// endpoint gives the address, and what said it.
func (env environment) endpoint(given string) (name string, address *url.URL, err error) {
	name, text := "the endpoint", given
	if given == "" {
		if name, text = env.signal("ENDPOINT"); text == "" {
			return "", nil, nil
		}
	}
	address, err = url.Parse(text)
	switch {
	case err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Hostname() == "":
		return name, nil, fmt.Errorf("%s: it is no URL such as http://127.0.0.1:4318", name)
	case address.User != nil:
		return name, nil, fmt.Errorf("%s: a password does not belong into an address; it goes into OTEL_EXPORTER_OTLP_HEADERS", name)
	}
	address.Fragment = ""
	if name != "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" {
		address = address.JoinPath("v1/traces")
	}
	return name, address, nil
}

// pairs reads "key=value,key=value", with values that may be percent-encoded.
func pairs(variable, text string) (all [][2]string, err error) {
	for i, pair := range strings.Split(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !ok || key == "" || err != nil || strings.ContainsAny(value, "\r\n\x00") {
			return nil, fmt.Errorf("%s: entry %d is not key=value", variable, i+1)
		}
		all = append(all, [2]string{key, value})
	}
	return all, nil
}

func readHeaders(env environment, s *Settings) error {
	s.wire.headers = http.Header{}
	variable, text := env.signal("HEADERS")
	all, err := pairs(variable, text)
	for i, pair := range all {
		if strings.ContainsFunc(pair[0], func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) }) {
			return fmt.Errorf("%s: entry %d has no name of a header", variable, i+1)
		}
		s.wire.headers.Set(pair[0], pair[1])
	}
	for name := range s.wire.headers {
		s.Headers = append(s.Headers, strings.ToLower(name))
	}
	slices.Sort(s.Headers)
	return err
}

func readWire(env environment, s *Settings) error {
	const usual = 10 * time.Second
	s.wire.timeout = usual
	if variable, text := env.signal("TIMEOUT"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("%s: it is a number of milliseconds", variable)
		}
		s.wire.timeout = time.Duration(n) * time.Millisecond
	}
	switch variable, text := env.signal("COMPRESSION"); text {
	case "", "none":
	case "gzip":
		s.wire.gzip = true
	default:
		return fmt.Errorf("%s: it is gzip or none", variable)
	}
	return nil
}

func readTLS(env environment, s *Settings) error {
	ca, caFile := env.signal("CERTIFICATE")
	cert, certFile := env.signal("CLIENT_CERTIFICATE")
	_, keyFile := env.signal("CLIENT_KEY")
	s.wire.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		text, err := os.ReadFile(caFile) //nolint:gosec // whoever starts the program says which
		if err != nil {
			return fmt.Errorf("%s: %w", ca, err)
		}
		s.wire.tls.RootCAs = x509.NewCertPool()
		if !s.wire.tls.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("%s: %s holds no certificate", ca, caFile)
		}
	}
	if certFile == "" && keyFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("%s and its key: %w", cert, err)
	}
	s.wire.tls.Certificates = []tls.Certificate{pair}
	return nil
}

func readResource(env environment, s *Settings) error {
	all, err := pairs("OTEL_RESOURCE_ATTRIBUTES", env("OTEL_RESOURCE_ATTRIBUTES"))
	for _, pair := range all {
		if pair[0] == "service.name" {
			s.Service = pair[1]
			continue
		}
		s.attributes = append(s.attributes, pair)
	}
	if name := env("OTEL_SERVICE_NAME"); name != "" {
		s.Service = name
	}
	return err
}

func readSampler(env environment, s *Settings) error {
	s.Sampler = env("OTEL_TRACES_SAMPLER")
	if s.Sampler == "" {
		s.Sampler = "parentbased_always_on"
	}
	name, follow := strings.CutPrefix(s.Sampler, "parentbased_")
	s.sampler.follow = follow
	switch name {
	case "always_on":
		s.sampler.ratio = 1
	case "always_off":
	case "traceidratio":
		s.sampler.ratio = 1
		if text := env("OTEL_TRACES_SAMPLER_ARG"); text != "" {
			ratio, err := strconv.ParseFloat(text, 64)
			if err != nil || ratio < 0 || ratio > 1 {
				return errors.New("OTEL_TRACES_SAMPLER_ARG: it is a number from 0 to 1")
			}
			s.sampler.ratio = ratio
		}
	default:
		return errors.New("OTEL_TRACES_SAMPLER: it is always_on, always_off or traceidratio, or one of these with parentbased_ in front")
	}
	return nil
}
