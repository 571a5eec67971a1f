import MachineAPI

extension MachineStateMachine {
    enum Input: Sendable, Equatable {
        case start(source: String)
        /// `seconds`: how long it may take to end, instead of the configuration's.
        case stop(source: String, seconds: Int64? = nil)
        case restart(source: String, seconds: Int64? = nil)
        case destroy(source: String)
        case suspend(source: String)
        /// Nobody has called for so long.
        case idle(seconds: Int64)
        /// Its agent takes no call any more, and nobody waits for one.
        case closed
        /// It was called, or does not say.
        case closeFailed(String)
        /// It has another configuration from now on. `launches`: it shall run with it at once, else from its next boot on.
        case update(source: String, launches: Bool)
        /// Somebody waits for it to come up, who has not started it.
        case awaited
        /// Something happened to it that changes nothing of its life.
        case note(type: String, source: String, reason: String? = nil)
        /// Stop until the next orchestrator; what is wanted stays.
        case hold
        /// Its turn to be made has come.
        case turn
        case booted
        case bootFailed(String)
        /// The host has no room for it: it is not started, and nobody tries again before somebody asks.
        case noRoom(String)
        case ready
        /// The agent answers, and says that the server does not come up.
        case notReady(String)
        /// `seconds`: how long it was up.
        case exited(MachineEnd, seconds: Int64)
        case removed
        case removeFailed(String)
        /// It stands still; the text says what that gave back.
        case frozen(String)
        /// It runs as before.
        case freezeFailed(String)
        case thawed
        case thawFailed(String)
        case timer
        /// At the orchestrator's start: the boot that the row names lives.
        case adopted(isStarted: Bool)
        /// At the orchestrator's start: the boot that the row names is gone.
        case lost
        /// At the orchestrator's start: the row names no boot.
        case found
    }

    enum Effect: Sendable, Equatable {
        /// Wait for the turn to start. `isAwaited`: somebody waits for the machine, so that it goes before those that nobody waits for.
        case queue(isAwaited: Bool)
        case boot
        /// Ask until the answer is yes. `isDeep`: whether its server answers, else whether the agent does.
        case probe(isDeep: Bool)
        /// Have the agent take no more calls, if it has had none for so long.
        case close(idleSeconds: Int64)
        /// Close the door, let calls end, freeze; or do nothing of what is done already. `idleSeconds`: only if nobody has called for so
        /// long, also when the door is closed.
        case freeze(idleSeconds: Int64? = nil)
        /// Do not wait for its calls any longer: it is frozen already, or it is not frozen at all.
        case cancelFreeze
        /// The opposite of a freeze; of what was never frozen, nothing.
        case thaw
        /// Go back to the configuration before the update.
        case fallBack
        /// SIGTERM; what stands still is waked first.
        case terminate
        /// Kill and remove what is left.
        case remove
        /// One timer; a new one replaces it.
        case arm(seconds: Int64)
        case disarm
        /// The row has become history.
        case erase
        case record(type: String, status: String, source: String, reason: String?)
    }
}
