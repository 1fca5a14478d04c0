package s3

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/tasks"
)

// checkAccess reads what says where to go and who is there.
func (s *session) checkAccess() error {
	var err error
	if s.endpoint, err = parseURL(s, "endpoint"); err != nil {
		return err
	}
	if err := s.checkEndpoint(); err != nil {
		return err
	}
	if _, err = parseURL(s, "sts_endpoint"); err != nil {
		return err
	}
	method := s.in.String("auth_method")
	hasID, hasSecret := s.in.Secret("access_key_id").Reveal() != "", s.in.Secret("secret_access_key").Reveal() != ""
	switch {
	case method == authAccessKey && !hasID:
		return missing("access_key_id", "auth_method access_key needs it")
	case method == authAccessKey && !hasSecret, method == authAssumeRole && hasID && !hasSecret:
		return missing("secret_access_key", "it belongs to access_key_id")
	case method == authAssumeRole && hasSecret && !hasID:
		return missing("access_key_id", "it belongs to secret_access_key")
	case !s.env.Machine && s.asks(), !s.env.Machine && method == authWebIdentity && s.in.Secret("web_identity_token").Reveal() == "":
		return &tasks.Error{Kind: tasks.Denied, Input: "auth_method", Message: "auth_method " + method + " would take credentials of the machine, which are not for this connection",
			Hint: "give the connection credentials of its own"}
	case method == authAssumeRole && s.in.String("role_arn") == "",
		method == authWebIdentity && s.role() == "":
		return missing("role_arn", "auth_method "+method+" needs it")
	}
	return nil
}

func missing(input, why string) error {
	return &tasks.Error{Kind: tasks.Invalid, Input: input, Message: "input " + input + " is missing: " + why,
		Hint: "auth_method `default` or `aws_cli` uses what the AWS command line uses, `anonymous` nothing"}
}

// parseURL reads an input that is a URL of a service, nil if it is empty.
func parseURL(s *session, input string) (*url.URL, error) {
	text := s.in.String(input)
	if text == "" {
		return nil, nil
	}
	bad := func(why, hint string) error {
		return &tasks.Error{Kind: tasks.Invalid, Input: input, Message: input + " " + why, Hint: hint}
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, bad("is no URL", "it looks like https://s3.mycompany.com")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, bad("does not start with https:// or http://", "it looks like https://s3.mycompany.com")
	case u.User != nil:
		return nil, bad("holds credentials", "they have inputs of their own")
	case u.Hostname() == "" || strings.ContainsAny(u.Host, " \t\r\n"):
		return nil, bad("names no host", "")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, bad("has a query or a fragment", "")
	}
	return u, nil
}

// checkEndpoint refuses an endpoint that begins with the bucket's name, as some
// consoles show it: the name would become a part of every key.
func (s *session) checkEndpoint() error {
	if s.endpoint == nil {
		return nil
	}
	service, ok := strings.CutPrefix(s.endpoint.Host, s.in.String("bucket")+".")
	if !ok {
		return nil
	}
	for _, domain := range []string{"amazonaws.com", "amazonaws.com.cn", "digitaloceanspaces.com", "r2.cloudflarestorage.com", "wasabisys.com", "backblazeb2.com"} {
		if strings.HasSuffix(service, "."+domain) {
			return &tasks.Error{Kind: tasks.Invalid, Input: "endpoint", Message: "endpoint begins with the bucket's name",
				Hint: "it is the service's: " + s.endpoint.Scheme + "://" + service}
		}
	}
	return nil
}

// connect prepares the SDK. It finds credentials and asks for temporary ones.
func (s *session) connect(ctx context.Context) error {
	if s.aws.HTTPClient != nil {
		return nil
	}
	cfg, err := s.base(ctx)
	if err != nil {
		return err
	}
	switch s.in.String("auth_method") {
	case authAnonymous:
		cfg.Credentials = aws.AnonymousCredentials{}
	case authAssumeRole:
		cfg.Credentials = keeping{s, stscreds.NewAssumeRoleProvider(s.sts(cfg), s.in.String("role_arn"), func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName, o.ExternalID = s.in.String("session_name"), s.given("external_id")
		})}
	case authWebIdentity:
		cfg.Credentials = keeping{s, stscreds.NewWebIdentityRoleProvider(s.sts(cfg), s.role(), identityToken{s}, func(o *stscreds.WebIdentityRoleOptions) {
			o.RoleSessionName = s.in.String("session_name")
		})}
	}
	if !aws.IsCredentialsProvider(cfg.Credentials, aws.AnonymousCredentials{}) {
		cfg.Credentials = aws.NewCredentialsCache(masked{s, cfg.Credentials}, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = lastUse })
		if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
			return err
		}
	}
	s.aws = cfg
	return s.takeEndpoint()
}

// takeEndpoint takes over the endpoint that the profile or the environment has,
// unless the inputs have one.
func (s *session) takeEndpoint() error {
	found := s3.NewFromConfig(s.aws).Options().BaseEndpoint
	if s.endpoint != nil || found == nil {
		return nil
	}
	var err error
	if s.endpoint, err = url.Parse(*found); err != nil {
		return &tasks.Error{Kind: tasks.Invalid, Message: "the endpoint_url of the AWS command line's configuration is no URL", Err: err}
	}
	return nil
}

// base is the configuration before roles. Only the methods that want it look at
// what the machine has.
func (s *session) base(ctx context.Context) (aws.Config, error) {
	client := &http.Client{Transport: s.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	region := cmp.Or(s.in.String("region"), defaultRegion)
	if !s.asks() {
		given := credentials.NewStaticCredentialsProvider(s.in.Secret("access_key_id").Reveal(),
			s.in.Secret("secret_access_key").Reveal(), s.in.Secret("session_token").Reveal())
		return aws.Config{Region: region, HTTPClient: client, Credentials: given}, nil
	}
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(s.finder()), config.WithLogger(logging.Nop{})}
	if s.in.Given("region") && s.in.String("region") != "" { // else the machine may say another than the default
		options = append(options, config.WithRegion(region))
	}
	if profile := s.profile(); profile != "" {
		options = append(options, config.WithSharedConfigProfile(profile))
	}
	if s.config.ConfigFile != "" {
		options = append(options, config.WithSharedConfigFiles([]string{s.config.ConfigFile}))
	}
	if s.config.CredentialsFile != "" {
		options = append(options, config.WithSharedCredentialsFiles([]string{s.config.CredentialsFile}))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, badSetUp(err)
	}
	s.trust(cfg.HTTPClient)
	cfg.HTTPClient = client
	cfg.Region = cmp.Or(cfg.Region, region)
	return cfg, nil
}

// finder is the client for finding credentials. The SDK gives the authorities of
// AWS_CA_BUNDLE to no other type.
func (s *session) finder() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.Proxy, t.DialContext, t.TLSHandshakeTimeout = s.transport.Proxy, s.transport.DialContext, s.transport.TLSHandshakeTimeout
		t.DisableKeepAlives = true // it is not closed
	})
}

// trust takes the authorities over that the SDK found, unless the inputs have some.
func (s *session) trust(found aws.HTTPClient) {
	finder, ok := found.(*awshttp.BuildableClient)
	if !ok || s.in.String("ca_cert") != "" {
		return
	}
	if settings := finder.GetTransport().TLSClientConfig; settings != nil && settings.RootCAs != nil {
		s.transport.TLSClientConfig.RootCAs = settings.RootCAs
	}
}

// asks tells whether the machine is asked for credentials: not if they are given,
// unless a profile was asked for.
func (s *session) asks() bool {
	switch s.in.String("auth_method") {
	case authCLI:
		return true
	case authDefault, authAssumeRole:
		return s.in.Secret("access_key_id").Reveal() == ""
	}
	return false
}

// role is the role for web_identity, "" if there is none.
func (s *session) role() string {
	if role := s.in.String("role_arn"); role != "" || !s.env.Machine {
		return role
	}
	return os.Getenv("AWS_ROLE_ARN")
}

// profile is the profile to use, "" for what the environment says.
func (s *session) profile() string {
	if p := s.in.String("profile"); p != "" || s.in.String("auth_method") != authCLI {
		return p
	}
	if p := os.Getenv("AWS_PROFILE"); p != "" {
		return p
	}
	return "default"
}

func badSetUp(err error) error {
	var (
		profile config.SharedConfigProfileNotExistError
		code    config.AssumeRoleTokenProviderNotSetError
	)
	switch {
	case errors.As(err, &profile):
		return &tasks.Error{Kind: tasks.NotFound, Input: "profile", Message: "the AWS command line has no profile " + profile.Profile, Err: err,
			Hint: "`aws configure list-profiles` tells which there are"}
	case errors.As(err, &code):
		return &tasks.Error{Kind: tasks.Invalid, Input: "profile", Message: "the profile wants a code of a person's device (mfa_serial)", Err: err,
			Hint: "take a profile without one: nobody is there to type it"}
	}
	return &tasks.Error{Kind: tasks.Invalid, Message: "read the AWS command line's configuration: " + oneLine(err.Error()), Err: err}
}

// sts is the service that gives out roles.
func (s *session) sts(cfg aws.Config) *sts.Client {
	return sts.NewFromConfig(cfg, func(o *sts.Options) {
		if endpoint := s.given("sts_endpoint"); endpoint != nil {
			o.BaseEndpoint = endpoint
		}
	})
}

// identityToken gives the OpenID Connect token of a session.
type identityToken struct{ s *session }

// GetIdentityToken implements stscreds.IdentityTokenRetriever.
func (t identityToken) GetIdentityToken() ([]byte, error) {
	token := t.s.in.Secret("web_identity_token").Reveal()
	if token == "" {
		file := os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE")
		if file == "" {
			return nil, missing("web_identity_token", "and AWS_WEB_IDENTITY_TOKEN_FILE names no file")
		}
		text, err := os.ReadFile(file) //nolint:gosec // whoever runs weir named it
		if err != nil {
			return nil, &tasks.Error{Kind: tasks.Invalid, Input: "web_identity_token", Message: "read the file AWS_WEB_IDENTITY_TOKEN_FILE: " + reasonOf(err), Err: err}
		}
		token = strings.TrimSpace(string(text))
	}
	t.s.mask(secret.New(token))
	return []byte(token), nil
}

// masked has the credentials masked that a provider finds.
type masked struct {
	s    *session
	next aws.CredentialsProvider
}

// Retrieve implements aws.CredentialsProvider.
func (m masked) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if m.next == nil {
		return aws.Credentials{}, errNoCredentials()
	}
	found, err := m.next.Retrieve(ctx)
	if err != nil {
		return found, &credentialsError{err}
	}
	for _, text := range []string{found.AccessKeyID, found.SecretAccessKey, found.SessionToken} {
		if text != "" {
			m.s.mask(secret.New(text))
		}
	}
	return found, nil
}

// credentialsError is a failure to get credentials, so that nothing was asked of the
// service yet.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

func errNoCredentials() *tasks.Error {
	return &tasks.Error{Kind: tasks.Denied, Message: "no credentials were found",
		Hint: "`aws configure` sets them up for the AWS command line; or give `access_key_id` and `secret_access_key`"}
}

// ofCredentials knows the ways in which what the machine has gives no credentials;
// nil if a service was asked that speaks for itself.
func ofCredentials(err error) *tasks.Error {
	var (
		failed  *credentialsError
		session *ssocreds.InvalidTokenError
		program *processcreds.ProviderError
		exit    *exec.ExitError
		lost    *net.OpError
		op      *smithy.OperationError
	)
	const (
		singleSignOn = "SSO" // "SSO" and "SSO OIDC"
		signIn       = "`aws sso login` signs in again"
	)
	switch {
	case !errors.As(err, &failed):
		return nil
	case errors.As(err, &op) && op.Service() == "ec2imds":
		return errNoCredentials() // the machine itself is asked last
	case errors.As(err, &lost): // on the way to who gives credentials
		return nil
	case errors.As(err, &session), strings.Contains(err.Error(), "SSO token"): // ssocreds has no type for most
		return &tasks.Error{Kind: tasks.Denied, Input: "profile", Message: "the profile is not signed in to AWS SSO, or not any more", Hint: signIn}
	case errors.As(err, &program): // whose text may hold the credentials
		reason := "what it prints is not what it should"
		if errors.As(err, &exit) {
			reason = exit.String()
		}
		return &tasks.Error{Kind: tasks.Denied, Input: "profile", Message: "the profile's credential_process gives no credentials: " + reason,
			Hint: "run it by hand to see what it says"}
	case !errors.As(err, &op):
	case strings.HasPrefix(op.Service(), singleSignOn) && statusOf(err) == http.StatusUnauthorized:
		return &tasks.Error{Kind: tasks.Denied, Input: "profile", Message: "AWS SSO does not take the profile's session any more", Hint: signIn}
	case strings.HasPrefix(op.Service(), singleSignOn), op.Service() == sts.ServiceID:
		return nil
	}
	return errNoCredentials()
}
