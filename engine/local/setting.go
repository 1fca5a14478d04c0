package local

import "github.com/weir-engine/weir/engine"

func (f *flow) launchSetting(c *call) {
	f.record(c, f.endOf(c, &engine.Error{Kind: engine.Internal, Message: "todo"}))
}
