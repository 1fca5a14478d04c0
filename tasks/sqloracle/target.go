package sqloracle

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sijms/go-ora/v2/configurations"

	"github.com/weir-engine/weir/connections/schema"
)

// program is how sessions show up at the server (V$SESSION).
const program = "weir"

// sdu is the largest packet that is offered to a server.
const sdu = 0x200000

var harmlessName = regexp.MustCompile(`^[\w.$#-]{1,128}$`)

// configure makes what go-ora connects with. No connection string is made on the
// way: nothing has to be escaped, and no error can show one.
func (s *session) configure() (*configurations.ConnectionConfig, error) {
	in := s.in
	c := &configurations.ConnectionConfig{
		PrefetchRows: int(in.Int("fetch_size")),
		SessionInfo: configurations.SessionInfo{
			Timeout:             0, // no time of its own: the wire is cut
			SessionDataUnitSize: sdu, TransportDataUnitSize: sdu,
			Protocol: "tcp", SSLVerify: true,
		},
		DatabaseInfo: configurations.DatabaseInfo{
			UserID: in.String("user"), Password: in.Secret("password").Reveal(),
			ServiceName: in.String("service_name"), SID: in.String("sid"),
			ProxyClientName: in.String("proxy_client"),
			// Dates are taken as they stand. It also saves a question for each session.
			Location: "UTC",
		},
		ClientInfo: clientInfo(),
		AdvNegoServiceInfo: configurations.AdvNegoServiceInfo{
			EncServiceLevel: level(in.String("encryption")), IntServiceLevel: level(in.String("integrity")),
		},
	}
	c.DBAPrivilege = configurations.DBAPrivilegeFromString(in.String("privilege"))
	if in.String("lob_fetch") == "stream" {
		c.Lob = configurations.STREAM
	}
	if in.Bool("tls") {
		c.SSL, c.Protocol = true, "tcps"
	}
	return c, s.locate(c)
}

func clientInfo() configurations.ClientInfo {
	host, err := os.Hostname()
	if err != nil {
		host = program
	}
	return configurations.ClientInfo{
		ProgramPath: program, ProgramName: program, DriverName: program, OSUserName: program,
		HostName: host, PID: os.Getpid(), Territory: "AMERICA", Language: "AMERICAN",
	}
}

func level(name string) int {
	return map[string]int{"accepted": 0, "rejected": 1, "requested": 2, "required": 3}[name]
}

// locate says which servers and which database, and sets what to call them.
func (s *session) locate(c *configurations.ConnectionConfig) error {
	in := s.in
	for _, name := range []string{"service_name", "sid", "proxy_client"} {
		if in.Has(name) && !harmlessName.MatchString(in.String(name)) {
			return invalid(name, fmt.Sprintf("%s %q is no name", name, oneLine(in.String(name))), "")
		}
	}
	if in.Has("descriptor") {
		return s.locateByDescriptor(c)
	}
	hosts := in.Strings("hosts")
	if in.Has("host") {
		hosts = []string{in.String("host")}
	}
	if len(hosts) == 0 {
		return invalid("host", `"host" is required, or "hosts" or "descriptor" instead`, "")
	}
	if !in.Has("service_name") && !in.Has("sid") {
		return invalid("service_name", `"service_name" is required, or "sid" or "descriptor" instead`, "")
	}
	for _, host := range hosts {
		server, err := parseHost(in, host)
		if err != nil {
			return err
		}
		c.Servers = append(c.Servers, server)
	}
	name := in.String("service_name")
	if name == "" {
		name = in.String("sid")
	}
	s.shown = net.JoinHostPort(c.Servers[0].Addr, strconv.Itoa(c.Servers[0].Port)) + "/" + name
	return nil
}

// parseHost reads a host with or without a port.
func parseHost(in schema.Inputs, text string) (configurations.ServerAddr, error) {
	input := "host"
	if in.Has("hosts") {
		input = "hosts"
	}
	host, port := strings.TrimSpace(text), in.Int("port")
	if h, p, err := net.SplitHostPort(host); err == nil {
		if host = h; p != "" {
			if port, err = strconv.ParseInt(p, 10, 32); err != nil {
				return configurations.ServerAddr{}, invalid(input, fmt.Sprintf("%q is no port", oneLine(p)), "")
			}
		}
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "" || strings.ContainsAny(host, "()=/@ \t\r\n\x00\"'") {
		return configurations.ServerAddr{}, invalid(input, fmt.Sprintf("%q is no host", oneLine(text)), "")
	}
	if port < 1 || port > 65535 {
		return configurations.ServerAddr{}, invalid("port", fmt.Sprintf("port %d is not between 1 and 65535", port), "")
	}
	return configurations.ServerAddr{Addr: host, Port: int(port)}, nil
}

func (s *session) locateByDescriptor(c *configurations.ConnectionConfig) error {
	text := strings.TrimSpace(s.in.String("descriptor"))
	switch {
	case !strings.HasPrefix(text, "(") || strings.Count(text, "(") != strings.Count(text, ")") || strings.ContainsRune(text, 0):
		return invalid("descriptor", "the descriptor is not of the form (DESCRIPTION=...)", "")
	case regexp.MustCompile(`(?i)\(\s*(wallet_location|my_wallet_directory|security)\s*=`).MatchString(text):
		return invalid("descriptor", "the descriptor names a wallet or has a security part",
			"nothing is read from disk: give `wallet`, `tls_verify` and `tls_server_name`")
	}
	if err := c.UpdateDatabaseInfo(text); err != nil {
		return invalid("descriptor", "the descriptor has no address that can be understood", "each is of the form (ADDRESS=(PROTOCOL=tcp)(HOST=...)(PORT=...))")
	}
	if c.ServiceName == "" && c.SID == "" {
		return invalid("descriptor", "the descriptor has neither SERVICE_NAME nor SID", "")
	}
	if !slices.ContainsFunc(c.Servers, func(a configurations.ServerAddr) bool { return !strings.EqualFold(a.Protocol, "tcps") }) {
		c.SSL, c.Protocol = true, "tcps"
	}
	first := c.Servers[0]
	s.shown = net.JoinHostPort(first.Addr, strconv.Itoa(first.Port)) + "/" + c.ServiceName + c.SID
	return nil
}
