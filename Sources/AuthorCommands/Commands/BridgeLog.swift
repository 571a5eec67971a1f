import ArgumentParser
import JSONText
import StdioBridge

/// What a bridge tells its operator, on standard error.
struct BridgeLog: Sendable {
    var isJSON: Bool

    /// What a server wrote is shown as it came, with its colours; of messages, nothing but text.
    func write(_ line: StandaloneLine) {
        let text = isJSON ? line.json : line.level == .trace ? Printable.text(line.text) : line.text
        StandaloneBridge.write(line: text, to: 2)
    }

    /// A line of the command's own.
    func warn(_ text: String) {
        if isJSON { return write(StandaloneLine(.warning, text)) }
        Output.note("warning: " + text)
    }

    func note(_ text: String) {
        if isJSON { return write(StandaloneLine(.info, text)) }
        Output.note(text)
    }

    /// Tells what ended the command, in this log's form.
    func ended(_ failure: Failure, isJSON wantsEvent: Bool) -> ExitCode {
        write(StandaloneLine(.error, failure.line))
        if wantsEvent {
            Output.json(.record(("event", "failed"), ("message", .string(failure.message)), ("hint", failure.hint.map { .string($0) })))
        }
        return ExitCode(failure.code)
    }
}
