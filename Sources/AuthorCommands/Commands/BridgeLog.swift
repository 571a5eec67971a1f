import ArgumentParser
import JSONText
import Standalone
import StdioBridge

/// What a bridge tells its operator, on standard error.
struct BridgeLog: Sendable {
    var isJSON: Bool
    private let output = LineOutput(descriptor: 2)

    init(isJSON: Bool) { self.isJSON = isJSON }

    /// What a server wrote is shown as it came, with its colours; of messages, nothing but text.
    func write(_ line: StandaloneLine) {
        let text = isJSON ? line.json : line.level == .trace ? Printable.text(line.text) : line.text
        output.offer(text)
    }

    /// A line of the command's own.
    func warn(_ text: String) {
        if isJSON { return write(StandaloneLine(.warning, text)) }
        output.offer(Output.named("warning: " + text))
    }

    func note(_ text: String) {
        if isJSON { return write(StandaloneLine(.info, text)) }
        output.offer(Output.named(text))
    }

    /// The lines are out, or nobody reads them.
    func flush() { output.flush(within: 1_000) }

    /// Tells what ended the command, in this log's form.
    func ended(_ failure: Failure, isJSON wantsEvent: Bool) -> ExitCode {
        write(StandaloneLine(.error, failure.line))
        if wantsEvent {
            Output.json(.record(("event", "failed"), ("message", .string(failure.message)), ("hint", failure.hint.map { .string($0) })))
        }
        return ExitCode(failure.code)
    }
}
