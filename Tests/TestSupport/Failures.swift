public import Testing

/// The 28 failures of MCP servers, bridges and gateways in the field that Berth must not repeat. A test that proves the required
/// behaviour carries the failure's tag: `swift test list` and `grep failure07` find it. `FailureTagsTests` fails when one has none.
extension Tag {
    // The life of processes.
    /// Only the launcher dies, and what it started lives on.
    @Tag public static var failure01: Self
    /// Zombies where the bridge is PID 1 or a subreaper.
    @Tag public static var failure02: Self
    /// A process for each stateless POST, never reaped.
    @Tag public static var failure03: Self
    /// A session's timer that never runs out while a stream is open; half-open connections.
    @Tag public static var failure04: Self
    /// A server that ignores the end of its input.
    @Tag public static var failure05: Self
    /// A proxy that lives on after its server's death, and tells nobody.
    @Tag public static var failure06: Self
    /// Closing and reconnecting that call each other until the process dies.
    @Tag public static var failure07: Self
    /// A server that does not start, and nobody sees why.
    @Tag public static var failure08: Self
    /// A slow start, and probes that kill or repeat it.
    @Tag public static var failure09: Self

    // Streams.
    /// Banners and logs on stdout.
    @Tag public static var failure10: Self
    /// A stderr that nobody reads, so that the server stops.
    @Tag public static var failure11: Self
    /// Lines without a bound, lines cut at a chunk.
    @Tag public static var failure12: Self
    /// Progress and answer together larger than the buffers between two that wait for each other.
    @Tag public static var failure13: Self
    /// Proxies that hold an event stream back.
    @Tag public static var failure14: Self
    /// Idle time-outs on the way.
    @Tag public static var failure15: Self
    /// A missed ping that ends a session.
    @Tag public static var failure16: Self
    /// A stream that was dropped, and its live session with it.
    @Tag public static var failure17: Self

    // Which answer is whose.
    /// Equal ids of several clients at one server.
    @Tag public static var failure18: Self
    /// A cancellation with the wrong id, to the wrong server, or behind what it cancels.
    @Tag public static var failure19: Self
    /// A server's requests that nobody answers.
    @Tag public static var failure20: Self
    /// Notifications and changed lists that are not passed on.
    @Tag public static var failure21: Self
    /// Answers with an id that nobody gave.
    @Tag public static var failure22: Self

    // Sessions and HTTP.
    /// Sessions that clients never end.
    @Tag public static var failure23: Self
    /// A client that keeps the id of a session that is gone.
    @Tag public static var failure24: Self
    /// A gateway that needs of a stateless server what only a session has.
    @Tag public static var failure25: Self
    /// A GET that is refused where clients want a stream.
    @Tag public static var failure26: Self
    /// Several processes of one client that sign in over each other.
    @Tag public static var failure27: Self
    /// Old proxies that leave out a header of the modern revision.
    @Tag public static var failure28: Self
}
