/// The system calls that a machine may make: default-deny, our own list in our own grouping.
///
/// Everything not named answers ENOSYS, so that a libc falls back as on an older kernel. What engines' default profile
/// (containers-common's `seccomp.json`, Apache-2.0, see `images/NOTICE`) lets through only because their containers lack
/// capabilities is refused here by name; a test holds this list against that profile and knows each difference.
enum SeccompProfile {
    /// One reason for a set of calls.
    struct Group: Sendable {
        let reason: String
        let calls: [String]

        init(_ reason: String, _ calls: String) {
            self.reason = reason
            self.calls = calls.split(whereSeparator: \.isWhitespace).map(String.init)
        }
    }

    /// `CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET`: the namespaces that `clone` may not make.
    static let cloneNamespaceFlags = 0x7E02_0000
    /// UNIX, INET, INET6, NETLINK; so neither VSOCK nor ALG nor PACKET.
    static let socketFamilies = [1, 2, 10, 16]
    /// What `personality` may be asked: the current one, Linux, its 2.6 version number, and both for uname26.
    static let personalities = [0x0, 0x8, 0x20000, 0x20008, 0xFFFF_FFFF]

    private static let permissionDenied = 1
    private static let notImplemented = 38

    /// The value of `linux.seccomp` in a machine's configuration.
    ///
    /// - Parameters:
    ///   - allowsTracing: `ptrace`, which the kernel still checks: by uid, and not of what is not dumpable, as the agent.
    ///   - families: of sockets that may be made.
    static func document(allowsSystemVIPC: Bool = false, allowsTracing: Bool = false, families: [Int] = socketFamilies) -> [String: Any] {
        var rules: [[String: Any]] = allowed.map { rule($0.calls, "SCMP_ACT_ALLOW") }
        if allowsSystemVIPC { rules.append(rule(persistentIPC.calls, "SCMP_ACT_ALLOW")) }
        for value in personalities { rules.append(rule(["personality"], "SCMP_ACT_ALLOW", argument: equal(0, value))) }
        for family in families { rules.append(rule(["socket"], "SCMP_ACT_ALLOW", argument: equal(0, family))) }
        rules.append(
            rule(
                ["clone"], "SCMP_ACT_ALLOW",
                argument: ["index": 0, "value": cloneNamespaceFlags, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"]))
        // clone3 keeps its flags in memory, where no filter sees them: without it libc uses clone.
        rules.append(rule(["clone3"], "SCMP_ACT_ERRNO", errno: notImplemented))
        for group in refused {
            let calls = group.calls.filter { !allowsTracing || $0 != "ptrace" }
            rules.append(rule(calls, "SCMP_ACT_ERRNO", errno: permissionDenied))
        }
        if allowsTracing { rules.append(rule(["ptrace"], "SCMP_ACT_ALLOW")) }
        if !allowsSystemVIPC { rules.append(rule(persistentIPC.calls, "SCMP_ACT_ERRNO", errno: permissionDenied)) }
        return [
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": notImplemented,
            "architectures": [architecture],
            "syscalls": rules,
        ]
    }

    /// One architecture: 32-bit and x32 entries of the kernel stay closed.
    static var architecture: String {
        #if arch(arm64)
            "SCMP_ARCH_AARCH64"
        #else
            "SCMP_ARCH_X86_64"
        #endif
    }

    private static func rule(_ names: [String], _ action: String, argument: [String: Any]? = nil, errno: Int? = nil) -> [String: Any] {
        var rule: [String: Any] = ["names": names, "action": action]
        if let argument { rule["args"] = [argument] }
        if let errno { rule["errnoRet"] = errno }
        return rule
    }

    private static func equal(_ index: Int, _ value: Int) -> [String: Any] {
        ["index": index, "value": value, "op": "SCMP_CMP_EQ"]
    }
}
