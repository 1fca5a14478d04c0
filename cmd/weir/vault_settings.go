package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/vaultint"
)

// vaultSetting is one setting of a source of secrets: how files and the store spell it,
// how "vault add" takes it, and where it goes. This is the one list of them.
type vaultSetting struct {
	schema.Field
	// at is where the setting is kept: a pointer to a string, vaultint.Method,
	// secret.Value, bool, time.Duration, float64 or map[string]int.
	at any
	// flag is that of "vault add", whose text is the setting; empty if there is none.
	flag string
	from flagKind
	// endless settings are of no effect when they are 0, which vaultint wants negative.
	endless bool
}

// flagKind says how the text of a flag becomes a setting.
type flagKind int

const (
	asTyped  flagKind = iota
	asPath            // of a file that is read when it is needed
	fromFile          // what the file holds now, unless it is to be read when it is needed
)

// settings lists what the source is made of, in the order in which people should see it.
func (s *secretSource) settings() []vaultSetting {
	v, auth := &s.vault, &s.vault.Auth
	var methods []string
	for _, method := range vaultint.Methods() {
		methods = append(methods, string(method))
	}
	return []vaultSetting{
		{Field: schema.Field{Name: "name", Required: true, Doc: `What references call it; "default" unless they say another.`}, at: &s.name},
		{Field: schema.Field{Name: "address", Doc: "URL of the Vault."}, at: &v.Address, flag: "address"},
		{Field: schema.Field{Name: "namespace", Doc: "Namespace where secrets are read."}, at: &v.Namespace, flag: "namespace"},
		{Field: schema.Field{Name: "login_namespace", Doc: "Namespace of the login, if it is another."}, at: &v.LoginNamespace, flag: "login-namespace"},
		{Field: schema.Field{Name: "ca_cert", Doc: "The authorities to trust, as PEM text; the system's unless given.", Multiline: true}, at: &v.CACert, flag: "ca-cert-file", from: fromFile},
		{Field: schema.Field{Name: "tls_server_name", Doc: "Name to expect in the server's certificate."}, at: &v.TLSServerName, flag: "tls-server-name"},
		{Field: schema.Field{Name: "client_cert", Doc: "The certificate to show, with its chain, as PEM text: for auth cert, or where the server wants one.", Multiline: true}, at: &v.ClientCert, flag: "client-cert-file", from: fromFile},
		{Field: schema.Field{Name: "client_key", Doc: "The key of that certificate, as PEM text.", Multiline: true}, at: &v.ClientKey, flag: "client-key-file", from: fromFile},
		{Field: schema.Field{Name: "client_cert_file", Doc: "File of the certificate to show, read again for each connection."}, at: &v.ClientCertFile, from: asPath},
		{Field: schema.Field{Name: "client_key_file", Doc: "File of the key of that certificate, read again for each connection."}, at: &v.ClientKeyFile, from: asPath},
		{Field: schema.Field{Name: "timeout", Doc: "Bound of one read; 10s unless given."}, at: &v.Timeout, flag: "timeout"},
		{Field: schema.Field{Name: "cache_ttl", Doc: "For how long a secret is kept; 30s unless given, 0 for not at all."}, at: &v.CacheTTL, flag: "cache-ttl", endless: true},
		{Field: schema.Field{Name: "tolerate", Doc: "How old a secret may be in an outage, such as 10m; unless given, an outage is an error."}, at: &v.Tolerate, flag: "tolerate"},
		{Field: schema.Field{Name: "rate_limit", Doc: "How many reads a second may go to the Vault; 100 unless given, 0 for no limit."}, at: &v.RateLimit, flag: "rate-limit", endless: true},
		{Field: schema.Field{Name: "auth", Doc: "How to log in: " + vaultint.MethodNames() + ".", Enum: methods}, at: &auth.Method, flag: "auth"},
		{Field: schema.Field{Name: "auth_mount", Doc: "Path of the login below auth/; the method's name unless given."}, at: &auth.Mount, flag: "mount"},
		{Field: schema.Field{Name: "token", Doc: "The token, for auth token."}, at: &auth.Token, flag: "token-file", from: fromFile},
		{Field: schema.Field{Name: "token_file", Doc: "File of the token, for auth token_file."}, at: &auth.TokenFile, from: asPath},
		{Field: schema.Field{Name: "role_id", Doc: "Role id, for auth approle."}, at: &auth.RoleID, flag: "role-id"},
		{Field: schema.Field{Name: "secret_id", Doc: "The secret id, for auth approle; none for a role without one."}, at: &auth.SecretID, flag: "secret-id-file", from: fromFile},
		{Field: schema.Field{Name: "secret_id_file", Doc: "File of the secret id, read again at each login."}, at: &auth.SecretIDFile, from: asPath},
		{Field: schema.Field{Name: "secret_id_wrapped", Doc: "Whether the file of the secret id holds a wrapping token instead."}, at: &auth.SecretIDWrapped, flag: "wrapped"},
		{Field: schema.Field{Name: "username", Doc: "User name, for auth userpass."}, at: &auth.Username, flag: "username"},
		{Field: schema.Field{Name: "password", Doc: "The password, for auth userpass."}, at: &auth.Password, flag: "password-file", from: fromFile},
		{Field: schema.Field{Name: "role", Doc: "Role, for auth kubernetes, jwt and cert."}, at: &auth.Role, flag: "role"},
		{Field: schema.Field{Name: "jwt_file", Doc: "File of the signed token, for auth kubernetes (the pod's own unless given) and jwt."}, at: &auth.JWTFile, flag: "jwt-file", from: asPath},
		{Field: schema.Field{Name: "mounts", Doc: "KV version of mounts, 1 or 2, where it cannot be found out."}, at: &v.Mounts, flag: "kv"},
		{Field: schema.Field{Name: "file", Doc: "File of secrets that stands in for a Vault in development."}, at: &s.file, flag: "file", from: asPath},
	}
}

// secretSourceFields describes a source of secrets as files and the store hold it.
func secretSourceFields() schema.Object {
	object := schema.Object{Conflicts: [][]string{
		{"file", "address"}, {"client_cert", "client_cert_file"}, {"client_key", "client_key_file"}, {"secret_id", "secret_id_file"},
	}}
	for _, setting := range new(secretSource).settings() {
		field := setting.Field
		field.Public = true
		switch setting.at.(type) {
		case *string, *vaultint.Method:
			field.Type = schema.String
		case *secret.Value:
			field.Type, field.Sensitive, field.Public = schema.String, true, false
		case *bool:
			field.Type = schema.Bool
		case *time.Duration:
			field.Type = schema.Duration
		case *float64:
			field.Type = schema.Number
		case *map[string]int:
			field.Type, field.Elem = schema.Map, schema.Int
		}
		object.Fields = append(object.Fields, field)
	}
	return object
}

// take sets the setting from what was decoded.
func (s vaultSetting) take(in schema.Inputs) {
	none := s.endless && in.Has(s.Name)
	switch at := s.at.(type) {
	case *string:
		*at = in.String(s.Name)
	case *vaultint.Method:
		*at = vaultint.Method(in.String(s.Name))
	case *secret.Value:
		*at = in.Secret(s.Name)
	case *bool:
		*at = in.Bool(s.Name)
	case *time.Duration:
		if *at = in.Duration(s.Name); none && *at == 0 {
			*at = -1
		}
	case *float64:
		if *at = in.Number(s.Name); none && *at == 0 {
			*at = -1
		}
	case *map[string]int:
		*at = map[string]int{}
		for path, version := range in.Map(s.Name) {
			number, _ := version.(int64)
			(*at)[path] = int(number)
		}
	}
}

// shown gives the setting as a file holds it, masked if it is secret; nil if it is not
// set.
func (s vaultSetting) shown() any {
	switch at := s.at.(type) {
	case *string:
		return orNil(*at, *at != "")
	case *vaultint.Method:
		return orNil(string(*at), *at != "")
	case *secret.Value:
		return orNil(secret.Mask, !at.IsZero())
	case *bool:
		return orNil(true, *at)
	case *time.Duration:
		return orNil(max(*at, 0).String(), *at != 0)
	case *float64:
		return orNil(max(*at, 0), *at != 0)
	case *map[string]int:
		mounts := map[string]any{}
		for path, version := range *at {
			mounts[path] = version
		}
		return orNil(mounts, len(mounts) > 0)
	}
	return nil
}

func orNil(value any, set bool) any {
	if set {
		return value
	}
	return nil
}

// usage is what the help of the setting's flag says.
func (s vaultSetting) usage() string {
	text := strings.TrimSuffix(s.Doc, ".")
	if unicode.IsLower(rune(text[1])) { // neither URL nor KV
		text = strings.ToLower(text[:1]) + text[1:]
	}
	if s.from == fromFile {
		return "file of " + text
	}
	return text
}

// ofMachine tells what is against the use of a source by somebody whose machine this
// is not: files and identities of the machine are not theirs.
func (s *secretSource) ofMachine() error {
	input := ""
	for _, setting := range s.settings() {
		if setting.from == asPath && setting.shown() != nil {
			input = setting.Name
		}
	}
	if input == "" && s.vault.Auth.Method == vaultint.MethodKubernetes {
		input = "auth"
	}
	if input == "" {
		return nil
	}
	return &secret.ReadError{
		Ref: secret.Ref{Vault: s.name}, Reason: secret.Denied,
		Detail: fmt.Sprintf("%q of Vault configuration %q asks for what belongs to the machine of the engine", input, s.name),
		Hint:   "give the value itself: a token, a secret id, a password or a certificate",
	}
}
