package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/schema"
)

func TestMaskedValueText(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text, want string
	}{
		"comments and order stay": {
			"# the database\nhost: db # primary\npassword: hunter22 # changed in May\n\n# who\nuser: me\n",
			"# the database\nhost: db # primary\npassword: '***'\n\n# who\nuser: me\n",
		},
		"a text of several lines": {
			"password: |\n  -----BEGIN\n  # no comment\n\n  -----END\nuser: me\n",
			"password: '***'\nuser: me\n",
		},
		"a quoted text that goes on in the first column": {
			"password: \"hunter22\n# and this too\"\nuser: me\n",
			"password: '***'\nuser: me\n",
		},
		"in braces": {
			"{user: me, password: hunter22}\n",
			"user: me\npassword: '***'\n",
		},
		"a list where a text should be": {
			"password:\n- hunter22\n- hunter23\nuser: me\n",
			"password: '***'\nuser: me\n",
		},
		"an anchor": {
			"user: &a hunter22\npassword: *a\n",
			"user: hunter22\npassword: '***'\n",
		},
		"a comment that repeats it": {
			"password: hunter22\n# hunter22 was set in May\nuser: me\n",
			"password: '***'\n# *** was set in May\nuser: me\n",
		},
		"a comment that was an entry": {
			"#password: winter21\npassword: hunter22\n  # password = \"x y\"\nuser: me\n",
			"#password: ***\npassword: '***'\nuser: me\n",
		},
		"nothing to hide": {"user: me # too\n", "user: me # too\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newValueText(tt.text)
			var keys []string
			if v.index("password") >= 0 {
				keys = []string{"password"}
			}
			got := v.masked(keys).maskComments([]string{"password"})
			if diff := cmp.Diff(tt.want, got.text); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetValueText(t *testing.T) {
	t.Parallel()
	number := func(n int64, text string) schema.Node {
		return schema.Node{Scalar: schema.Scalar{Text: text, Value: n}}
	}
	tests := map[string]struct {
		text    string
		entries []schema.Entry
		lines   map[string]string
		want    string
	}{
		"new ones keep their order": {
			"# here\nhost: db",
			[]schema.Entry{{Key: "z", Value: number(1, "1")}, {Key: "a", Value: number(2, "2")}}, nil,
			"# here\nhost: db\nz: 1\na: 2\n",
		},
		"old and new": {
			"a: 0\nb: 0 # zero\nc: 0\n",
			[]schema.Entry{{Key: "c", Value: number(3, "3")}, {Key: "x", Value: number(9, "9")}, {Key: "a", Value: number(1, "1")}}, nil,
			"a: 1\nb: 0 # zero\nc: 3\nx: 9\n",
		},
		"as typed": {
			"  password: '***'\n  user: me\n",
			[]schema.Entry{{Key: "password", Value: schema.Node{Scalar: schema.Scalar{Text: "a\nb\n", Value: "a\nb\n"}}}},
			map[string]string{"password": "password: | # why\n    a\n    b\n"},
			"  password: | # why\n      a\n      b\n  user: me\n",
		},
		"empty": {"", []schema.Entry{{Key: "a", Value: number(1, "1")}}, nil, "a: 1\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newValueText(tt.text).set(tt.entries, tt.lines)
			if diff := cmp.Diff(tt.want, got.text); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestValueTextWithout(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"one of several": {
			"host: db # primary\npassword: |\n  hunter22\n# who, not hunter22\nuser: me\n",
			"host: db # primary\n# who, not ***\nuser: me\n",
		},
		"all":       {"# a remark\npassword: hunter22\n", ""},
		"in braces": {"{password: hunter22, user: me}", "user: me\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newValueText(tt.text).without([]string{"password"})
			if diff := cmp.Diff(tt.want, got.text); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
