/// Finds the machine of a pin through the control plane and keeps the row true. Runs off the loop, for cold sessions only.
struct PinSearch: Sendable {
    struct Found: Sendable {
        var entry: PinTable.Entry
        /// The session was on another boot before.
        var moved: Bool
    }

    /// No machine; the reason is for the caller.
    struct NotFound: Error, Sendable, Equatable {
        var reason: String
        /// Stable, where there is more to say than that there is none: `at_capacity`, `cordoned`.
        var code: String?
        /// Seconds after which it is worth trying again.
        var retryAfter: Int?

        init(reason: String, code: String? = nil, retryAfter: Int? = nil) {
            self.reason = reason
            self.code = code
            self.retryAfter = retryAfter
        }

        static let notStarted = NotFound(reason: "the machine does not run any more", code: "stopped", retryAfter: 1)
    }

    let support: any DataPathSupport
    /// How long the orchestrator may go on naming a machine that does not answer any more.
    var patience: Duration = .seconds(10)
    var pause: Duration = .milliseconds(100)

    /// - Parameter principal: whose session it is.
    func run(_ search: PinTable.Search, _ key: PinTable.Key, connector: Connector, principal: String) async throws -> Found {
        switch search {
        case .find:
            guard let row = try await support.pin(session: key.session, connector: key.connector) else {
                return try await first(key, connector, principal)
            }
            return try await verify(row, connector, principal)
        case .verify(let pin):
            return try await verify(pin, connector, principal)
        case .replace(let pin):
            return try await replace(pin, by: another(than: pin, connector, principal), connector, principal)
        case .renew(let pin):
            let address = try await support.readyMachine(for: connector, principal: principal)
            if address.machine == pin.machine, address.boot == pin.boot { return Found(entry: entry(pin, address, connector), moved: false) }
            return try await replace(pin, by: address, connector, principal)
        }
    }

    /// A first pin. Two gateways may pin at once; the row that stands decides.
    private func first(_ key: PinTable.Key, _ connector: Connector, _ principal: String) async throws -> Found {
        let address = try await support.readyMachine(for: connector, principal: principal)
        let wanted = Pin(session: key.session, connector: key.connector, epoch: 1, machine: address.machine, boot: address.boot)
        return try await settle(wanted: wanted, standing: support.pin(wanted), address, connector, principal, moved: false)
    }

    private func verify(_ pin: Pin, _ connector: Connector, _ principal: String) async throws -> Found {
        if let address = try await support.refresh(machine: pin.machine, of: connector, principal: principal), address.boot == pin.boot {
            return Found(entry: entry(pin, address, connector), moved: false)
        }
        return try await replace(pin, by: another(than: pin, connector, principal), connector, principal)
    }

    private func replace(_ pin: Pin, by address: MachineAddress, _ connector: Connector, _ principal: String) async throws -> Found {
        let wanted = Pin(session: pin.session, connector: pin.connector, epoch: pin.epoch + 1, machine: address.machine, boot: address.boot)
        return try await settle(wanted: wanted, standing: support.repin(wanted, ifEpoch: pin.epoch), address, connector, principal, moved: true)
    }

    /// A machine whose boot is not the lost one. The orchestrator notices an exit a moment after its sockets closed.
    private func another(than pin: Pin, _ connector: Connector, _ principal: String) async throws -> MachineAddress {
        let clock = ContinuousClock()
        let end = clock.now + patience
        while true {
            let address = try await support.readyMachine(for: connector, principal: principal)
            if address.boot != pin.boot { return address }
            guard clock.now < end else { throw NotFound(reason: "the machine does not answer") }
            try await Task.sleep(for: pause)
        }
    }

    private func settle(
        wanted: Pin, standing: Pin, _ address: MachineAddress, _ connector: Connector, _ principal: String, moved: Bool
    ) async throws -> Found {
        if standing.machine == wanted.machine, standing.boot == wanted.boot {
            return Found(entry: entry(standing, address, connector), moved: moved)
        }
        // Another gateway was faster: its machine is the session's.
        let there = try await support.refresh(machine: standing.machine, of: connector, principal: principal)
        guard let other = there, other.boot == standing.boot else {
            throw NotFound(reason: "the machine was lost again")
        }
        return Found(entry: entry(standing, other, connector), moved: moved)
    }

    private func entry(_ pin: Pin, _ address: MachineAddress, _ connector: Connector) -> PinTable.Entry {
        PinTable.Entry(pin: pin, address: address, generation: address.generation ?? connector.generation)
    }
}
