import Door
import Glibc
import MachineAPI

/// Fetches an image from its registry in a build machine that reaches that registry, and whatever other host it sends to for a
/// token or a blob; then it is as one from this host's disk.
struct PullWork: ImageWork {
    let factory: ImageFactory
    let step: @Sendable (String) -> Void
    let base: SharedPart
    let reference: RegistryReference
    /// Given to the job that fetches, as a file of its own, and to nothing else of the build.
    let login: RegistryLogin?
    let source: ImageSource
    let gate: ReleaseGate

    /// A registry has one place for tokens, one for blobs, and perhaps another for each.
    private static let mostHosts = 4

    var parts: [SharedPart] { [base] }
    private var limits: TreeLimits { factory.settings.limits }

    private struct Plan: Encodable {
        var base, name, reference, architecture: String
        var digest: String?
        var allowed: [String]
        var bytes: Int
        var login: RegistryLogin?
    }

    func image(in building: String) async throws -> BuiltImage {
        step("Fetching \(reference.text)")
        let layout = building + "/layout"
        let output = try await pull(in: building)
        try await Disk.work { [limits] in
            guard mkdir(layout, 0o755) == 0 else { throw Disk.failure("mkdir", layout, errno) }
            var copy = TreeCopy(limits: TreeLimits(bytes: limits.bytes + (64 << 20), entries: 1_000, depth: 4))
            try copy.copy(output, below: "layout", to: layout)
        }
        let foreign = try await Disk.work { [limits, reference] in
            try OCILayout(layout, name: reference.text).image(tag: reference.digest, limit: limits.bytes, isFetched: true)
        }
        try await Disk.work { [gate, reference] in try gate.pass([Self.report(foreign, of: reference, in: layout, gate.rules)]) }
        var named = source
        named.folder = reference.text
        var built = try await LayoutWork(factory: factory, step: step, base: base, source: named).image(foreign, of: layout, in: building)
        // Once for this image, whatever becomes of the tag.
        built.packages = ["\(reference.authority)/\(reference.name)@\(foreign.digest)"]
        return built
    }

    /// What is told of an image once it is here, and before a file of it is unpacked. Its time is its author's word, which many leave out
    /// or set to one that is always the same: it says nothing of how long the image has been public, and nobody is asked for it.
    private static func report(
        _ image: OCILayout.Image, of reference: RegistryReference, in layout: String, _ rules: ReleaseRules
    ) -> ReleaseReport {
        var report = ReleaseReport(kind: .oci, name: reference.name, version: reference.digest == nil ? reference.tag : nil, accept: "")
        report.accept = "\(reference.authority)/\(reference.name)@\(image.digest)"
        report.digest = image.digest
        report.bytes = image.layers.reduce(0) { $0 + Int(Files.status(layout + "/blobs/sha256/" + $1.blob)?.st_size ?? 0) }
        report.published_at = image.config.madeAt
        report.age = report.published_at.map { time(nil) - $0 }
        report.doubts = rules.doubts(report)
        return report
    }

    /// - Returns: what the build machine wrote to.
    private func pull(in building: String) async throws -> String {
        var others: [String] = []
        while true {
            let plan = Plan(
                base: reference.base, name: reference.name, reference: reference.digest ?? reference.tag, architecture: ImageConfig.hostArchitecture,
                digest: reference.digest, allowed: [reference.destination] + others, bytes: limits.bytes, login: login)
            let job = try await BuildSpace.make(
                in: building, name: "pull\(others.count)",
                files: ["pull.py": BuildScripts.pull, "pull.json": String(decoding: try CanonicalJSON.encode(plan), as: UTF8.self)],
                settings: factory.settings)
            // The registry is the operator's choice, wherever it lies, and so is its host at another port; what it sends to is not.
            let own = others.filter { $0.hasPrefix(reference.host + ":") }
            defer { unlink(job.input + "/pull.json") }
            let result = try await factory.machine.run(
                BuildJob(
                    name: "pull", layers: [store.layerPath(base.layer.hex)], command: ["/usr/bin/python3", "-I", "/in/pull.py"],
                    environment: BuildSpace.environment, output: job.output, inputs: [(job.input, "/in")],
                    egress: [reference.destination] + own, publicEgress: others.filter { !own.contains($0) },
                    outputBytes: limits.bytes + (64 << 20)),
                line: BuildSpace.progress(step))
            if result.exitCode == 0, !result.timedOut { return job.output }
            guard result.exitCode == 25, !result.timedOut, others.count < Self.mostHosts, let next = Self.needed(result.log),
                !plan.allowed.contains(next)
            else { throw failure(of: result, others) }
            step("\(reference.authority) sends to \(next)")
            others.append(next)
        }
    }

    /// The host that the script could not go on without.
    private static func needed(_ log: String) -> String? {
        guard let line = log.split(separator: "\n").last(where: { $0.hasPrefix("berth-needs ") }) else { return nil }
        let text = String(line.dropFirst(12))
        let isPlain = text.utf8.count <= 260 && text.utf8.allSatisfy { $0.isASCIILetterOrDigit || ".-:".utf8.contains($0) }
        return isPlain && EgressDestination(text) != nil ? text : nil
    }

    private func failure(of result: BuildJobResult, _ others: [String]) -> ImageBuildFailure {
        // Where the registry sends to is not refused for its name, but for its addresses.
        if let place = others.first(where: { result.log.contains("egress refused: \($0) (\(EgressRefusal.Reason.notGlobal.rawValue))") }), !result.timedOut {
            return ImageBuildFailure(
                error: "network", message: "\(reference.authority) sends to a host that builds may not reach: \(place).",
                hint: "Hosts that a registry sends to are reached at public addresses only.", log: BuildDiagnosis.tail(result.log))
        }
        let words =
            result.log.split(separator: "\n").last { $0.hasPrefix("berth-refused ") }?.split(separator: " ", maxSplits: 2).map(String.init) ?? []
        guard words.count == 3, !result.timedOut, !result.outOfMemory else {
            return BuildDiagnosis(package: nil, python: "", index: factory.settings.index).failure(of: result)
        }
        let hints = [
            "unknown_image": "Check its name and tag.",
            "denied": login == nil
                ? "For images that not everybody may fetch: berth image login \(reference.authority) --user USER."
                : "Check user and password: berth image login \(reference.authority) --user USER.",
            "network":
                "Builds reach \(([reference.destination] + others).joined(separator: ", ")) and nothing else; check that this host reaches it too.",
            "bad_image": "Try again, or take another.",
        ]
        if words[1] == "image_too_large" { return OCILayout.tooLarge(reference.text, limits.bytes) }
        guard let hint = hints[words[1]] else { return BuildDiagnosis(package: nil, python: "", index: factory.settings.index).failure(of: result) }
        return ImageBuildFailure(
            error: words[1], message: "\(reference.text) cannot be used: \(words[2].prefix(300)).", hint: hint, log: BuildDiagnosis.tail(result.log))
    }
}
