import Door
import Gateway
import Sealing

/// The control plane in memory: pins and sessions live as long as this, so that two data paths can share them.
final class FakeSupport: DataPathSupport {
    struct Missing: Error {}

    struct State: Sendable {
        var machines: [String: MachineAddress] = [:]
        var pins: [String: Pin] = [:]
        var sessions: [String: ClientSession] = [:]
        var ended: [String] = []
        /// As the data path told it, each time.
        var used: [[String]] = []
        var credentials: [String: CredentialSet] = [:]
        var starts = 0
        /// Machines that were waked under a call.
        var wakes: [String] = []
        var refreshes = 0
        var credentialReads = 0
        var delay: Duration = .zero
        /// Machines that were found are not told before this ends.
        var isHeld = false
    }

    let state = Locked(State())
    /// Called when a machine is asked for again.
    let onRefresh = Locked<(@Sendable () -> Void)?>(nil)
    let root: AppRoot

    init(root: AppRoot) { self.root = root }

    func readyMachine(for connector: Connector, principal: String) async throws -> MachineAddress {
        let (delay, address) = state.withLockedValue { state in
            state.starts += 1
            return (state.delay, state.machines[connector.name])
        }
        try await Task.sleep(for: delay)
        while state.withLockedValue({ $0.isHeld }) { try await Task.sleep(for: .milliseconds(5)) }
        guard let address else { throw Missing() }
        return address
    }

    func refresh(machine: String, of connector: Connector, principal: String) async throws -> MachineAddress? {
        let told = onRefresh.withLockedValue { $0 }
        told?()
        return state.withLockedValue { state in
            state.refreshes += 1
            return state.machines[connector.name].flatMap { $0.machine == machine ? $0 : nil }
        }
    }

    func wake(machine: String, app: String) async throws -> Bool {
        state.withLockedValue { $0.wakes.append("\(machine) of \(app)") }
        return true
    }

    func credentials(for connector: Connector, principal: String) async throws -> CredentialSet? {
        state.withLockedValue { state in
            state.credentialReads += 1
            return state.credentials[connector.name]
        }
    }

    func requestStateKey() throws -> Secret { root.secret }

    func doorKeys(app: String, machine: String, boot: String) throws -> DoorKeys { try DoorKeys(root: root, machine: machine, boot: boot) }

    func pin(_ pin: Pin) async throws -> Pin {
        state.withLockedValue { state in
            let key = "\(pin.session)/\(pin.connector)"
            let standing = state.pins[key] ?? pin
            state.pins[key] = standing
            return standing
        }
    }

    func pin(session: String, connector: String) async throws -> Pin? { state.withLockedValue { $0.pins["\(session)/\(connector)"] } }

    func repin(_ pin: Pin, ifEpoch epoch: Int) async throws -> Pin {
        state.withLockedValue { state in
            let key = "\(pin.session)/\(pin.connector)"
            if state.pins[key]?.epoch == epoch { state.pins[key] = pin }
            return state.pins[key] ?? pin
        }
    }

    func insertSession(_ session: ClientSession) async throws { state.withLockedValue { $0.sessions[session.id] = session } }
    func session(id: String, principal: String, virtualMCP: String) async throws -> ClientSession? {
        state.withLockedValue { $0.sessions[id].flatMap { $0.principal == principal && $0.virtualMCP == virtualMCP ? $0 : nil } }
    }

    func sessionsUsed(_ ids: [String]) async throws { state.withLockedValue { $0.used.append(ids) } }

    func endSession(id: String) async throws {
        state.withLockedValue { state in
            state.sessions[id] = nil
            state.ended.append(id)
            state.pins = state.pins.filter { !$0.key.hasPrefix("\(id)/") }
        }
    }
}
