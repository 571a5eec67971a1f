/// Finds the machine of a pin through the control plane and keeps the row true. Runs off the loop, for cold sessions only.
struct PinSearch: Sendable {
    struct Found: Sendable {
        var entry: PinTable.Entry
        /// The session was on another boot before.
        var moved: Bool
    }

    /// No machine; the reason is for the caller.
    struct NotFound: Error {
        var reason: String
    }

    let support: any DataPathSupport
    /// How long the orchestrator may go on naming a machine that does not answer any more.
    var patience: Duration = .seconds(10)
    var pause: Duration = .milliseconds(100)

    func run(_ search: PinTable.Search, _ key: PinTable.Key, connector: Connector) async throws -> Found {
        switch search {
        case .find:
            guard let row = try await support.pin(session: key.session, connector: key.connector) else {
                return try await first(key, connector)
            }
            return try await verify(row, connector)
        case .verify(let pin):
            return try await verify(pin, connector)
        case .replace(let pin):
            return try await replace(pin, by: another(than: pin, connector), connector)
        case .renew(let pin):
            let address = try await support.readyMachine(for: connector)
            if address.machine == pin.machine, address.boot == pin.boot { return Found(entry: entry(pin, address, connector), moved: false) }
            return try await replace(pin, by: address, connector)
        }
    }

    /// A first pin. Two gateways may pin at once; the row that stands decides.
    private func first(_ key: PinTable.Key, _ connector: Connector) async throws -> Found {
        let address = try await support.readyMachine(for: connector)
        let wanted = Pin(session: key.session, connector: key.connector, epoch: 1, machine: address.machine, boot: address.boot)
        return try await settle(wanted: wanted, standing: support.pin(wanted), address, connector, moved: false)
    }

    private func verify(_ pin: Pin, _ connector: Connector) async throws -> Found {
        if let address = try await support.refresh(machine: pin.machine, of: connector), address.boot == pin.boot {
            return Found(entry: entry(pin, address, connector), moved: false)
        }
        return try await replace(pin, by: another(than: pin, connector), connector)
    }

    private func replace(_ pin: Pin, by address: MachineAddress, _ connector: Connector) async throws -> Found {
        let wanted = Pin(session: pin.session, connector: pin.connector, epoch: pin.epoch + 1, machine: address.machine, boot: address.boot)
        return try await settle(wanted: wanted, standing: support.repin(wanted, ifEpoch: pin.epoch), address, connector, moved: true)
    }

    /// A machine whose boot is not the lost one. The orchestrator notices an exit a moment after its sockets closed.
    private func another(than pin: Pin, _ connector: Connector) async throws -> MachineAddress {
        let clock = ContinuousClock()
        let end = clock.now + patience
        while true {
            let address = try await support.readyMachine(for: connector)
            if address.boot != pin.boot { return address }
            guard clock.now < end else { throw NotFound(reason: "the machine does not answer") }
            try await Task.sleep(for: pause)
        }
    }

    private func settle(
        wanted: Pin, standing: Pin, _ address: MachineAddress, _ connector: Connector, moved: Bool
    ) async throws -> Found {
        if standing.machine == wanted.machine, standing.boot == wanted.boot {
            return Found(entry: entry(standing, address, connector), moved: moved)
        }
        // Another gateway was faster: its machine is the session's.
        guard let other = try await support.refresh(machine: standing.machine, of: connector), other.boot == standing.boot else {
            throw NotFound(reason: "the machine was lost again")
        }
        return Found(entry: entry(standing, other, connector), moved: moved)
    }

    private func entry(_ pin: Pin, _ address: MachineAddress, _ connector: Connector) -> PinTable.Entry {
        PinTable.Entry(pin: pin, address: address, generation: connector.generation)
    }
}
