package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
)

const (
	tokenColumns = `t.id, t.name, t.digest, t.used, t.body, ` + userColumns
	selectToken  = `SELECT ` + tokenColumns + ` FROM token t JOIN user u ON u.id = t.user WHERE t.name = ? AND u.name = ?`
	// findToken gives some other token where there is none of that digest, so that as
	// much is done for it.
	findToken = `SELECT ` + tokenColumns + ` FROM token t JOIN user u ON u.id = t.user
		WHERE t.id = coalesce((SELECT id FROM token WHERE digest = ?), (SELECT min(id) FROM token))`
	listTokens  = `SELECT ` + tokenColumns + ` FROM token t JOIN user u ON u.id = t.user WHERE u.name = ? ORDER BY t.id`
	insertToken = `INSERT INTO token (name, user, digest, body) SELECT ?, id, ?, ? FROM user WHERE name = ?`
	updateToken = `UPDATE token SET body = ? WHERE id = ?`
	markUsed    = `UPDATE token SET used = ?1 WHERE digest = ?2 AND coalesce(used, 0) < ?1`
)

const (
	// tokenPrefix lets people and scanners for leaked secrets know a token by its looks.
	tokenPrefix = "weir_"
	// usedAfter is how old the time of a token's last use gets before it is written again.
	usedAfter = time.Minute
	// maxTokenName bounds what a token is called, in bytes.
	maxTokenName = 200
)

// tokenBody is what is encrypted of a token.
type tokenBody struct {
	Name    string    `json:"name,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
}

// CreateToken makes a token for the user of that name, who may be disabled. A zero
// time means that it does not expire. text is the token itself: it is told this
// once, and the store keeps its digest only.
func (u *Users) CreateToken(ctx context.Context, by engine.Actor, user, name string, expires time.Time) (token engine.Token, text string, err error) {
	switch {
	case len(name) > maxTokenName:
		return engine.Token{}, "", fail(engine.Invalid, "", "the name of a token has at most %d bytes", maxTokenName)
	case !expires.IsZero() && !expires.After(u.s.now()):
		return engine.Token{}, "", fail(engine.Invalid, "", "the token would have expired already")
	}
	err = u.s.writeAudited(ctx, fmt.Sprintf("create a token of user %q", user), func(tx *sql.Tx, keys *keys) error {
		token, text, err = u.createToken(ctx, tx, keys, by, engine.Token{User: user, Name: name, Expires: expires.UTC().Truncate(time.Second)})
		return err
	})
	return token, text, err
}

func (u *Users) createToken(ctx context.Context, tx *sql.Tx, keys *keys, by engine.Actor, token engine.Token) (engine.Token, string, error) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	text := tokenPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	digest := tokenDigest(text)
	token.ID = strings.ToLower(rand.Text()[:12])
	token.Created = u.s.now().UTC().Truncate(time.Second)
	body, err := sealToken(keys, token, digest)
	if err != nil {
		return engine.Token{}, "", err
	}
	result, err := tx.ExecContext(ctx, insertToken, token.ID, digest, body, token.User)
	if err != nil {
		return engine.Token{}, "", err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return engine.Token{}, "", errors.Join(err, missingUser(token.User))
	}
	return token, text, u.s.audit(ctx, tx, by.Did(engine.AuditTokenCreate, token.User+" "+token.ID))
}

// Tokens gives all tokens of a user, also revoked ones, in the order of their
// making. Its error is of kind notfound if there is no such user.
func (u *Users) Tokens(ctx context.Context, user string) ([]engine.Token, error) {
	if _, err := u.Get(ctx, user); err != nil {
		return nil, err
	}
	rows, err := u.s.db.QueryContext(ctx, listTokens, user)
	if err != nil {
		return nil, u.s.explain("list tokens", err)
	}
	defer func() { _ = rows.Close() }()
	var tokens []engine.Token
	for rows.Next() {
		found, err := u.scanToken(rows)
		if err != nil {
			return nil, u.s.explain("list tokens", err)
		}
		tokens = append(tokens, found.Token)
	}
	return tokens, u.s.explain("list tokens", rows.Err())
}

// RevokeToken takes back a token of the user of that name. It is refused from then
// on. One that was revoked already stays so. The error is of kind notfound if the
// user has no token of that id.
func (u *Users) RevokeToken(ctx context.Context, by engine.Actor, user, id string) error {
	return u.s.writeAudited(ctx, fmt.Sprintf("revoke token %q", id), func(tx *sql.Tx, keys *keys) error {
		found, err := u.scanToken(tx.QueryRowContext(ctx, selectToken, id, user))
		if errors.Is(err, sql.ErrNoRows) {
			return fail(engine.NotFound, "see which there are: weir user token list "+user, "user %q has no token %q", user, id)
		}
		if err != nil || !found.Revoked.IsZero() {
			return err
		}
		found.Revoked = u.s.now().UTC().Truncate(time.Second)
		body, err := sealToken(keys, found.Token, found.digest)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, updateToken, body, found.row); err != nil {
			return err
		}
		return u.s.audit(ctx, tx, by.Did(engine.AuditTokenRevoke, user+" "+id))
	})
}

// Login gives the user that the text of a token is of, and the token. Its error is
// of kind denied, with one and the same text, whether there is no such token, it has
// expired or was revoked, or its user is disabled; of the last three the owner
// and the token are given too, for the audit. What is revoked or disabled is so at once.
//
// It takes the same time for every text that is refused: a digest is looked for, which
// nobody can choose, and as much is read and decrypted whether it is found or not. The
// use is noted beside, about once a minute.
func (u *Users) Login(ctx context.Context, text string) (engine.User, engine.Token, error) {
	refused := fail(engine.Denied, "make a new one: weir user token create", "the token is not valid")
	digest := tokenDigest(text)
	found, err := u.scanToken(u.s.db.QueryRowContext(ctx, findToken, digest))
	known := subtle.ConstantTimeCompare([]byte(found.digest), []byte(digest)) == 1
	now := u.s.now()
	switch {
	case err != nil && (known || found.digest == "") && !errors.Is(err, sql.ErrNoRows):
		return engine.User{}, engine.Token{}, u.s.explain("check a token", err)
	case !known:
		return engine.User{}, engine.Token{}, refused
	case !found.Valid(now) || found.user.Disabled:
		return engine.User{Owner: found.user.Owner}, found.Token, refused
	}
	if now.Sub(found.LastUsed) >= usedAfter {
		u.used(digest, now)
	}
	return found.user, found.Token, nil
}

// used has the time of a token's use written. That it cannot be must keep nobody
// from using it.
func (u *Users) used(digest string, now time.Time) {
	minute := now.Truncate(usedAfter)
	u.s.executions.also(func(s *session) error {
		_, err := s.exec(markUsed, micros(minute), digest)
		return err
	}, func(error) {})
}

// foundToken is a token with its row and its user. Of one that cannot be read, it has
// the digest.
type foundToken struct {
	engine.Token
	row    int64
	digest string
	user   engine.User
}

func (u *Users) scanToken(row scanner) (foundToken, error) {
	var found foundToken
	var used sql.NullInt64
	var body, userBody, sealed []byte
	var user int64
	err := row.Scan(&found.row, &found.ID, &found.digest, &used, &body, &user, &found.user.Name, &found.user.Owner, &userBody, &sealed)
	if err != nil {
		return foundToken{}, err
	}
	unread := foundToken{digest: found.digest}
	keys, err := u.s.keys.unwrap(sealed)
	if err != nil {
		return unread, err
	}
	if found.user, err = openUser(keys, found.user.Name, found.user.Owner, userBody); err != nil {
		return unread, err
	}
	found.User = found.user.Name
	text, err := keys.open(body, tokenPlace(found.ID, found.User, found.digest), fmt.Sprintf("token %q", found.ID))
	if err != nil {
		return unread, err
	}
	var b tokenBody
	if err := json.Unmarshal(text, &b); err != nil {
		return unread, fmt.Errorf("read token %q: %w", found.ID, err)
	}
	found.Name, found.Created, found.Expires, found.Revoked = b.Name, b.Created, b.Expires, b.Revoked
	if used.Valid {
		found.LastUsed = time.UnixMicro(used.Int64).UTC()
	}
	return found, nil
}

func sealToken(keys *keys, token engine.Token, digest string) ([]byte, error) {
	text, err := json.Marshal(tokenBody{token.Name, token.Created, token.Expires, token.Revoked})
	if err != nil {
		return nil, err
	}
	return keys.seal(text, tokenPlace(token.ID, token.User, digest))
}

func tokenDigest(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

func tokenPlace(id, user, digest string) []byte { return place("token", id, user, digest) }

func tokenTable() sealedTable {
	return sealedTable{
		list:   `SELECT id FROM token`,
		read:   `SELECT t.body, 'token', t.name, u.name, t.digest FROM token t JOIN user u ON u.id = t.user WHERE t.id = ?`,
		parts:  4,
		update: `UPDATE token SET body = ? WHERE id = ?`,
	}
}
