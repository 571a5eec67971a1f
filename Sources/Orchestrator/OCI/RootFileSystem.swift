import CLinux
import Glibc

/// The read-only root of a machine: shared layers over a skeleton of ours, mounted as an overlay without an upper layer.
struct RootFileSystem {
    let bundle: String
    let mountPoint: String
    /// In a user namespace runc opens bind sources by path, as a user who may not pass our directories: those are bound
    /// beside the root first.
    let stagesBinds: Bool

    var rootfs: String { mountPoint + "/rootfs" }
    private var skeleton: String { bundle + "/skeleton" }

    /// Mounts the root and answers the binds with sources that the runtime can reach.
    func mount(layers: [String], binds: [BindMount]) throws(OCIError) -> [BindMount] {
        guard !layers.isEmpty else { throw OCIError(.invalidSpec, "an image without layers") }
        try makeSkeleton(binds)
        try Files.makeDirectories(rootfs, mode: 0o711)
        try mountOverlay([skeleton] + layers)
        return stagesBinds ? try stage(binds) : binds
    }

    /// Detaches whatever is mounted at and below the mount point, and removes it. Idempotent.
    func unmount() throws(OCIError) {
        for name in Files.names(mountPoint) {
            // Mounts stack: each turn takes the uppermost off.
            while clinux_umount_detach(mountPoint + "/" + name) == 0 {}
        }
        try Files.removeTree(mountPoint)
    }

    /// What a machine needs to find whatever its image holds: the runtime cannot make a mount target in a root whose
    /// owner is nobody inside.
    private func makeSkeleton(_ binds: [BindMount]) throws(OCIError) {
        for directory in ["proc", "dev", "tmp", "etc", "run/berth", "opt/berth"] {
            try Files.makeDirectories(skeleton + "/" + directory, mode: 0o755)
        }
        try place("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
        try place("/etc/resolv.conf", "nameserver 127.0.0.53\n")
        for bind in binds {
            let parts = bind.destination.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
            guard bind.destination.hasPrefix("/"), !parts.isEmpty, parts.allSatisfy({ !["", ".", ".."].contains($0) }) else {
                throw OCIError(.invalidSpec, "a bind mount's destination is a plain absolute path, not \(bind.destination)")
            }
            var source = stat()
            guard stat(bind.source, &source) == 0 else { throw .system("stat", bind.source, errno) }
            if source.st_mode & S_IFMT == S_IFDIR {
                try Files.makeDirectories(skeleton + bind.destination, mode: 0o755)
            } else {
                let parent = parts.dropLast().joined(separator: "/")
                try Files.makeDirectories(skeleton + "/" + parent, mode: 0o755)
                try place(bind.destination, "")
            }
        }
    }

    private func place(_ path: String, _ text: String) throws(OCIError) {
        try Files.write(skeleton + path, Array(text.utf8), mode: 0o644)
        guard chmod(skeleton + path, 0o644) == 0 else { throw .system("chmod", skeleton + path, errno) }
    }

    /// - Parameter lowest: directories, the lowest first.
    private func mountOverlay(_ lowest: [String]) throws(OCIError) {
        // The options must fit one page and know `:` and `,` as separators: names relative to what all share are short,
        // and say nothing of the state directory's own path. The working directory is this thread's own.
        let common = Self.commonDirectory(lowest)
        let names = lowest.reversed().map { String($0.dropFirst(common.count + 1)) }
        for name in names where name.contains(where: { ":,\\".contains($0) }) || name.isEmpty {
            throw OCIError(.invalidSpec, "a layer's directory cannot be named \(name)")
        }
        let options = "lowerdir=" + names.joined(separator: ":")
        guard options.utf8.count < 4_000 else {
            throw OCIError(.invalidSpec, "\(lowest.count) layers are too many for one mount", hint: "flatten the image at build")
        }
        guard chdir(common.isEmpty ? "/" : common) == 0 else { throw .system("chdir", common, errno) }
        defer { _ = chdir("/") }
        let result = clinux_mount("overlay", rootfs, "overlay", clinux_ms_rdonly_nosuid_nodev(), options)
        guard result == 0 else { throw .system("mount overlay on", rootfs, -result) }
    }

    private func stage(_ binds: [BindMount]) throws(OCIError) -> [BindMount] {
        var staged: [BindMount] = []
        for (index, bind) in binds.enumerated() {
            let target = "\(mountPoint)/bind\(index)"
            if Files.isDirectory(bind.source) {
                try Files.makeDirectories(target, mode: 0o711)
            } else {
                try Files.write(target, [])
            }
            let result = clinux_mount(bind.source, target, nil, clinux_ms_bind(), nil)
            guard result == 0 else { throw .system("mount --bind", bind.source, -result) }
            staged.append(BindMount(source: target, destination: bind.destination, readOnly: bind.readOnly))
        }
        return staged
    }

    /// The longest directory that holds every path; without a trailing slash, so empty for `/`.
    static func commonDirectory(_ paths: [String]) -> String {
        guard let first = paths.first else { return "" }
        var common = first.split(separator: "/").dropLast()
        for path in paths.dropFirst() {
            let parts = path.split(separator: "/").dropLast()
            while !parts.starts(with: common) { common = common.dropLast() }
        }
        return common.map { "/" + $0 }.joined()
    }
}
