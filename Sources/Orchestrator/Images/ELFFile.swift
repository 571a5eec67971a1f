import Glibc

/// What the kernel and the dynamic linker read of a program before it runs: for which machine it is, and which other files
/// it needs. Everything in it is somebody else's word: each offset is checked, each size bounded.
///
/// Layout: System V ABI, chapters 4 and 5; 64 bits, little-endian (the only kind that a host of ours runs).
struct ELFFile: Equatable, Sendable {
    /// `e_machine`.
    var machine: Int
    /// Whether it can be started (a program, position-independent or not), and is no library or object file.
    var isProgram: Bool
    /// The dynamic linker that must start it; nil for a static one.
    var loader: String?
    /// Names of the libraries that it is linked to.
    var libraries: [String]
    /// Whether it says where they lie (`DT_RPATH`, `DT_RUNPATH`): the loader's own folders are not all then.
    var hasSearchPath = false

    struct Malformed: Error, Equatable { var reason: String }

    private static let mostHeaders = 128
    private static let mostDynamic = 64 << 10
    private static let mostLibraries = 256

    /// `x86_64`, `aarch64` and others by the names that compilers use.
    static func name(ofMachine machine: Int) -> String {
        let names = [
            3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64", 258: "loongarch64",
        ]
        return names[machine] ?? "machine \(machine)"
    }

    static var hostMachine: Int {
        #if arch(arm64)
            183
        #else
            62
        #endif
    }

    /// Reads an open file, at any position.
    ///
    /// - Throws: ``Malformed`` where it is cut off or contradicts itself.
    init(reading file: Int32) throws(Malformed) {
        let head = try Self.bytes(file, at: 0, 64)
        // Of another width or byte order: nothing but the machine is asked for.
        let isOurs = head[4] == 2 && head[5] == 1
        machine = head[5] == 2 ? Int(head[18]) << 8 | Int(head[19]) : Int(head[18]) | Int(head[19]) << 8
        let type = Int(head[16]) | Int(head[17]) << 8
        (isProgram, loader, libraries) = (true, nil, [])
        guard isOurs, machine == Self.hostMachine else { return }
        guard type == 2 || type == 3 else {
            isProgram = false
            return
        }
        let headers = try Self.programHeaders(file, head)
        let segments = headers.filter { $0.type == 1 }
        if let interpreter = headers.first(where: { $0.type == 3 }) {
            guard (1...4096).contains(interpreter.fileSize) else { throw Malformed(reason: "its loader's name is too long") }
            loader = Self.text(try Self.bytes(file, at: interpreter.offset, interpreter.fileSize)[...])
        }
        // A library has no entry, and nobody who would start it.
        isProgram = loader != nil || Self.number(head, 24) != 0
        if let dynamic = headers.first(where: { $0.type == 2 }) {
            (libraries, hasSearchPath) = try Self.libraries(file, dynamic, segments)
        }
    }

    private struct Header {
        var type, offset, address, fileSize: Int
    }

    private static func programHeaders(_ file: Int32, _ head: [UInt8]) throws(Malformed) -> [Header] {
        let (size, count) = (Int(head[54]) | Int(head[55]) << 8, Int(head[56]) | Int(head[57]) << 8)
        guard size == 56, (1...mostHeaders).contains(count) else { throw Malformed(reason: "its program headers are malformed") }
        let table = try bytes(file, at: number(head, 32), size * count)
        var headers: [Header] = []
        for index in 0..<count {
            let start = index * size
            headers.append(
                Header(
                    type: Int(table[start]) | Int(table[start + 1]) << 8 | Int(table[start + 2]) << 16 | Int(table[start + 3]) << 24,
                    offset: number(table, start + 8), address: number(table, start + 16), fileSize: number(table, start + 32)))
        }
        return headers
    }

    private static func libraries(_ file: Int32, _ dynamic: Header, _ segments: [Header]) throws(Malformed) -> ([String], Bool) {
        guard dynamic.fileSize <= mostDynamic else { throw Malformed(reason: "its dynamic section is too long") }
        let table = try bytes(file, at: dynamic.offset, dynamic.fileSize)
        var needed: [Int] = []
        var strings = (address: 0, size: 0)
        var hasSearchPath = false
        for start in stride(from: 0, to: table.count - 15, by: 16) {
            let value = number(table, start + 8)
            switch number(table, start) {
            case 0: break
            case 1: needed.append(value)
            case 5: strings.address = value
            case 10: strings.size = value
            case 15, 29: hasSearchPath = true
            default: break
            }
        }
        guard !needed.isEmpty else { return ([], hasSearchPath) }
        guard needed.count <= mostLibraries, strings.address >= 0, (1...16 << 20).contains(strings.size),
            let segment = segments.first(where: { segment in
                (0...strings.address).contains(segment.address) && strings.address - segment.address < segment.fileSize
            })
        else { throw Malformed(reason: "its list of libraries is malformed") }
        let place = segment.offset.addingReportingOverflow(strings.address - segment.address)
        // Far from where sums of offsets end.
        guard !place.overflow, place.partialValue < 1 << 48 else { throw Malformed(reason: "its list of libraries is malformed") }
        var names: [String] = []
        for offset in needed {
            guard (0..<strings.size).contains(offset),
                let name = text(try bytes(file, at: place.partialValue + offset, min(256, strings.size - offset))[...])
            else { throw Malformed(reason: "the name of a library is malformed") }
            names.append(name)
        }
        return (names, hasSearchPath)
    }

    /// Up to the zero byte; nil without one, or where it is no text.
    private static func text(_ bytes: ArraySlice<UInt8>) -> String? {
        guard let end = bytes.firstIndex(of: 0) else { return nil }
        guard let text = String(validating: bytes[..<end], as: UTF8.self), !text.isEmpty else { return nil }
        return text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F } ? text : nil
    }

    /// Eight bytes; what no file can hold becomes -1, which every check refuses.
    private static func number(_ bytes: [UInt8], _ offset: Int) -> Int {
        var value: UInt64 = 0
        for index in (0..<8).reversed() { value = value << 8 | UInt64(bytes[offset + index]) }
        return Int(exactly: value) ?? -1
    }

    private static func bytes(_ file: Int32, at offset: Int, _ count: Int) throws(Malformed) -> [UInt8] {
        guard offset >= 0, count >= 0, count <= 16 << 20 else { throw Malformed(reason: "an offset in it is malformed") }
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress.map { $0 + done }, count - done, off_t(offset + done)) }
            if got < 0 && errno == EINTR { continue }
            guard got > 0 else { throw Malformed(reason: "it is cut off") }
            done += got
        }
        return bytes
    }
}
