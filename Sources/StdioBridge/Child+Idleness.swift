import MCP
import NIOCore

extension Child {
    /// When it has been idle for so long that it may end.
    func endsIdle(after idle: TimeAmount) -> NIODeadline {
        // A person who was asked outside of calls thinks, too.
        max(lastUse + (back.questionCount > 0 ? max(idle, environment.limits.input) : idle), keptForAnswer)
    }

    /// A modern server's question is an answer, after which its process has nothing to do; what it knows of the call it may know in memory
    /// alone. Looked for only where idleness could end the process before a person has answered.
    func noteQuestion(_ outcome: MCPOutcome) {
        let limits = environment.limits
        guard limits.idle < limits.input, era == .modern, outcome.asksClient else { return }
        keptForAnswer = .now() + limits.input
    }
}
