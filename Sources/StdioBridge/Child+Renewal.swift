import JSONText
import MCP
import NIOCore

/// How a child gets another process while its session lives on: its program has changed.
extension Child {
    /// Lets the calls in flight finish, ends the process, and starts another one for whoever comes or listens. Calls that come
    /// meanwhile wait for that one.
    func renew() {
        guard !hasEnded, !draining, !machine.isStopping else { return }
        era = nil
        // What it said of itself is no longer so.
        identity = nil
        guard !isRenewing else { return }
        isRenewing = true
        let bound = NIOLoopBound(self, eventLoop: environment.loop)
        renewalTimer = environment.loop.scheduleTask(in: environment.limits.drain) { bound.value.renewNow() }
        renewIfQuiet()
    }

    /// Nobody waits for an answer of this process any more.
    func renewIfQuiet() {
        guard isRenewing, calls.values.allSatisfy(\.isListen), back.suspendedCount == 0 else { return }
        renewNow()
    }

    private func renewNow() {
        guard isRenewing else { return }
        guard machine.isRenewable else { return }
        let isWanted = !waiting.isEmpty || !parked.isEmpty || !identityWaiters.isEmpty || !calls.isEmpty
        endRenewal()
        perform(machine.renew(isWanted: isWanted, now: .now()))
    }

    /// Its process has ended, or is about to, whatever made it.
    func endRenewal() {
        renewalTimer?.cancel()
        renewalTimer = nil
        isRenewing = false
    }

    /// A call that comes with answers goes to the process that asked; every other one waits for the next.
    func passesRenewal(_ request: MCPRequest) -> Bool { request.envelope.requestState != nil && machine.stage == .ready }
}

extension Sessions {
    /// The program has changed: every child gets another process, as soon as its calls have ended, and sessions live on.
    public func renew() {
        identities = [:]
        era = nil
        refusesHandshake = false
        for child in children.values { child.renew() }
        spare?.renew()
    }
}
