import Foundation
import Glibc

/// The container runtime's command line: the only way in which Berth uses it, so that any compatible one can stand in.
struct RuntimeCommand: Sendable {
    enum Kind: String, Sendable {
        case crun
        case runc
        /// One with the same command line and no option of its own.
        case other
    }

    let path: String
    let kind: Kind
    let root: String

    static let environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]

    init(configuration: OCIConfiguration) throws(OCIError) {
        let candidates = configuration.runtimePath.isEmpty ? OCIConfiguration.runtimeCandidates : [configuration.runtimePath]
        guard let found = candidates.first(where: { access($0, X_OK) == 0 }) else {
            throw OCIError(
                .noRuntime, "no container runtime: looked for \(candidates.joined(separator: ", "))", hint: "apt-get install crun")
        }
        path = found
        kind = Self.kind(found)
        root = configuration.runtimeRoot
    }

    /// - Parameter path: of a runtime that is known to be usable.
    init(path: String, root: String) {
        self.path = path
        kind = Self.kind(path)
        self.root = root
    }

    private static func kind(_ path: String) -> Kind {
        let name = path.split(separator: "/").last ?? ""
        return name.hasPrefix("runc") ? .runc : name.hasPrefix("crun") ? .crun : .other
    }

    /// Whether the runtime opens bind sources by path as the machine's own root, who may not pass our directories.
    var opensSourcesInside: Bool { kind != .crun }

    private func global(log: String?) -> [String] {
        var arguments = ["--root", root]
        if kind == .crun { arguments.append("--cgroup-manager=cgroupfs") }
        if let log { arguments += ["--log", log] }
        return arguments
    }

    /// Runs a verb that ends by itself.
    func run(_ arguments: [String], timeout: Duration) throws(OCIError) {
        let result = try result(arguments, timeout: timeout)
        guard result.isSuccess else { throw failure(arguments, result.text) }
    }

    func result(_ arguments: [String], timeout: Duration) throws(OCIError) -> HostCommandResult {
        try HostCommand.runBlocking(
            path, global(log: nil) + arguments, environment: Self.environment, directory: "/", timeout: timeout, outputLimit: 16 << 10)
    }

    /// Runs `create`, whose standard streams and descriptors 3, 4 and 5 become the machine's own.
    ///
    /// - Parameter log: where the runtime writes its own messages, since its standard error is the machine's.
    func create(
        _ name: BootName, bundle: String, pidFile: String, log: String, stdio: (Int32, Int32, Int32), extra: [Int32]
    ) throws(OCIError) {
        let arguments = [
            "create", "--bundle", bundle, "--preserve-fds", String(extra.count), "--pid-file", pidFile, name.description,
        ]
        let child = try ChildProcess(
            path, global(log: log) + arguments, environment: Self.environment, directory: "/", stdio: stdio, extra: extra)
        // Not until the output ends: the machine inherits it.
        let status = try child.wait(timeout: .seconds(30))
        guard status.code == 0, status.signal == 0 else { throw failure(arguments, Files.read(log) ?? "") }
    }

    /// Puts a process into a running machine, and returns when it is there; its standard streams are the given ones.
    ///
    /// - Parameters:
    ///   - subgroup: below the machine's cgroup, with a slash first; made already.
    ///   - process: path of its `process.json`.
    func exec(
        _ name: BootName, subgroup: String, process: String, pidFile: String, log: String, stdio: (Int32, Int32, Int32)
    ) throws(OCIError) {
        let arguments = [
            "exec", "--cgroup", kind == .crun ? String(subgroup.dropFirst()) : subgroup, "--detach", "--pid-file", pidFile, "--process", process,
            name.description,
        ]
        // crun hands its own score on, whatever the document says.
        let child = try ChildProcess(path, global(log: log) + arguments, environment: Self.environment, directory: "/", stdio: stdio, oomScore: Int32(ExecDocument.oomScore))
        let status = try child.wait(timeout: .seconds(20))
        guard status.code == 0, status.signal == 0 else { throw failure(arguments, Files.read(log) ?? "") }
    }

    private func failure(_ arguments: [String], _ text: String) -> OCIError {
        let lines = text.split(separator: "\n").suffix(4).joined(separator: " | ")
        return OCIError(.runtimeFailed, "\(path.split(separator: "/").last ?? "") \(arguments.first ?? ""): \(lines.isEmpty ? "ended without a message" : lines)")
    }

    /// Whether the machine is past `create`: its own program was started.
    func isStarted(_ name: BootName) -> Bool {
        guard let result = try? result(["state", name.description], timeout: .seconds(10)), result.isSuccess,
            let state = try? JSONSerialization.jsonObject(with: Data(result.output)) as? [String: Any]
        else { return false }
        return state["status"] as? String != "created"
    }

    /// Kills runtime processes that work on our state, and on `name` if it is given, with the machine processes that they
    /// have not yet turned into the machine's program; waits until they are gone.
    ///
    /// - Parameter finished: first processes of whole machines, which stay: for a moment around `start` they look like the
    ///   runtime that made them.
    func endStrays(of name: BootName? = nil, except finished: Set<Int32> = []) {
        for _ in 0..<200 {
            let strays = self.strays(of: name).filter { !finished.contains($0) }
            if strays.isEmpty { return }
            for pid in strays { kill(pid, SIGKILL) }
            usleep(5_000)
        }
    }

    /// Runtime processes are known by their arguments: `--root` and the path of our state.
    func strays(of name: BootName? = nil) -> [Int32] {
        let own = getpid()
        return Files.names("/proc").compactMap { entry in
            guard let pid = Int32(entry), pid != own, let arguments = Self.arguments(of: pid, root: root) else { return nil }
            if let name, !arguments.contains(where: { $0 == name.description }) { return nil }
            return pid
        }
    }

    /// The arguments of a process that is a runtime; nil for any other.
    ///
    /// - Parameter root: whose runtime; nil for anybody's.
    static func arguments(of pid: Int32, root: String? = nil) -> [Substring]? {
        guard let text = Files.read("/proc/\(pid)/cmdline", limit: 16 << 10) else { return nil }
        let arguments = text.split(separator: "\0")
        guard let option = arguments.firstIndex(of: "--root"), option + 1 < arguments.count else { return nil }
        return root == nil || arguments[option + 1] == root.map { $0[...] } ? arguments : nil
    }
}
