// The memory behind the simulated core: one 8-byte beat a cycle for all masters together.
//
//   address accepted at cycle t -> first beat at t + latency at the earliest; bursts of one port
//   are answered in order and overlap in the latency.
//   last write beat accepted at t -> response at t + latency.
//
// Each cycle has one beat slot.  It is lost with a probability of `stall_per_mille`, decided by a
// generator with a fixed seed; else it goes to the next port, round robin, that has a beat to move.
//
// For tests, timing can be less regular: `jitter` adds up to so many cycles to each latency, and
// `refuse_per_mille` is the probability that a channel of a port is held back in a cycle.  Both
// draw from a generator of their own, so without them nothing changes.
//
// A port is driven the way a slave with registered outputs would: `drive` sets the inputs of the
// core from the state of the memory, `sample` looks at the settled handshakes of the same cycle.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

namespace penstock {

constexpr unsigned kOutstanding = 16;  // bursts a port accepts before it holds the address back
constexpr unsigned kMaxBeats = 16;
constexpr unsigned kBeatBytes = 8;
constexpr unsigned kBoundary = 4096;

enum Response : uint8_t { kOkay = 0, kSlvErr = 2, kDecErr = 3 };

enum class Fault : uint8_t {
    kNone = 0,
    kHang = 1,       // no beat moves any more, and no write is acknowledged
    kSlvErr = 2,
    kDecErr = 3,
    kNoAddress = 4,  // no address is accepted any more
    kNoAnswer = 5,   // no write is acknowledged any more
};

struct Range {
    uint64_t begin;
    uint64_t end;
};

// State shared by all ports.
struct Store {
    uint8_t* bytes = nullptr;
    uint64_t size = 0;
    uint64_t now = 0;
    uint64_t moved = 0;  // cycle of the last beat or acknowledgement
    uint32_t latency = 40;
    uint32_t stall_limit = 0;  // of 2^32
    uint64_t random = 1;
    uint32_t jitter = 0;
    uint32_t refuse_limit = 0;  // of 2^32
    uint64_t noise = 1;
    // Ranges that may be written; anywhere if there are none.  The last one that was hit is first.
    std::vector<Range> writable;
    char violation[256] = {0};

    bool stalled() { return next(random) < stall_limit; }

    // Whether a channel that could move is held back this cycle.
    bool refuses() { return refuse_limit && next(noise) < refuse_limit; }

    // Cycle from which what is accepted now can be answered.
    uint64_t due() { return now + latency + (jitter ? next(noise) % (jitter + 1) : 0); }

    bool may_write(uint64_t address) {
        if (writable.empty()) return true;
        for (Range& range : writable) {
            if (range.begin <= address && address + kBeatBytes <= range.end) {
                std::swap(range, writable.front());
                return true;
            }
        }
        return false;
    }

    bool inside(uint64_t address) const { return address + kBeatBytes <= size; }

    // Knuth's MMIX generator; the high half is the good one.
    static uint32_t next(uint64_t& state) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        return static_cast<uint32_t>(state >> 32);
    }

    void report(const char* port, const char* what, uint64_t address, unsigned beats) {
        if (violation[0]) return;  // the first one is the cause of the others
        std::snprintf(violation, sizeof violation,
                      "%s: %s (address 0x%llx, %u beats, cycle %llu)", port, what,
                      static_cast<unsigned long long>(address), beats,
                      static_cast<unsigned long long>(now));
    }
};

// A queue of fixed size; its user keeps it from overflowing.
template <typename T, unsigned N>
struct Ring {
    static_assert((N & (N - 1)) == 0, "the size must be a power of two");
    T items[N];
    uint32_t head = 0;
    uint32_t tail = 0;

    bool empty() const { return head == tail; }
    bool full() const { return tail - head == N; }
    T& front() { return items[head & (N - 1)]; }
    void push(const T& item) { items[tail++ & (N - 1)] = item; }
    void pop() { ++head; }
    void clear() { head = tail = 0; }
};

struct Burst {
    uint64_t address;
    uint64_t due;  // cycle of the first beat
    uint32_t beats;
    uint8_t response;
};

// Common to the address channels of both kinds of ports: acceptance and its rules.
struct AddressChannel {
    const char* port;
    bool held = false;  // valid without ready in the cycle before
    uint32_t address = 0;
    uint8_t length = 0;

    void sample(Store& store, bool valid, bool ready, uint32_t addr, uint8_t len, uint8_t size,
                uint8_t type) {
        if (held && (!valid || addr != address || len != length)) {
            store.report(port, "an address changed before it was accepted", addr, len + 1u);
        }
        held = valid && !ready;
        address = addr;
        length = len;
        if (!valid || !ready) return;
        const unsigned beats = len + 1u;
        if (beats > kMaxBeats) store.report(port, "a burst of more than 16 beats", addr, beats);
        if (type != 1 || size != 3) store.report(port, "not an INCR burst of 8-byte beats", addr, beats);
        if (addr % kBeatBytes) store.report(port, "an address that is not a multiple of 8", addr, beats);
        if (addr % kBoundary + beats * kBeatBytes > kBoundary) {
            store.report(port, "a burst that crosses 4 KiB", addr, beats);
        }
    }
};

struct FaultPlan {
    Fault kind = Fault::kNone;
    uint64_t beat = 0;  // the first one it concerns, counted from when it was planned

    bool hangs(uint64_t beats) const { return kind == Fault::kHang && beats >= beat; }
    bool deaf(uint64_t beats) const { return kind == Fault::kNoAddress && beats >= beat; }
    bool silent(uint64_t beats) const {
        return (kind == Fault::kHang || kind == Fault::kNoAnswer) && beats >= beat;
    }
    uint8_t response(uint64_t beats, uint8_t otherwise) const {
        if (beats != beat) return otherwise;
        return kind == Fault::kSlvErr ? kSlvErr : kind == Fault::kDecErr ? kDecErr : otherwise;
    }
};

// The pins of a read master, as the Verilated model has them.
struct ReadPins {
    const uint32_t& araddr;
    const uint8_t& arlen;
    const uint8_t& arsize;
    const uint8_t& arburst;
    const uint8_t& arvalid;
    uint8_t& arready;
    uint64_t& rdata;
    uint8_t& rresp;
    uint8_t& rlast;
    uint8_t& rvalid;
    const uint8_t& rready;
};

class ReadPort {
public:
    ReadPort(const char* name, const ReadPins& pins) : pins_(pins) { address_.port = name; }

    FaultPlan fault;
    uint64_t beats = 0;  // moved since the fault was planned

    bool wants(Store& store) {
        return !bursts_.empty() && !pins_.rvalid && bursts_.front().due <= store.now &&
               !fault.hangs(beats) && !store.refuses();
    }

    void grant(Store& store) {
        Burst& burst = bursts_.front();
        uint8_t response = kDecErr;
        uint64_t data = 0;
        if (store.inside(burst.address)) {
            std::memcpy(&data, store.bytes + burst.address, kBeatBytes);
            response = kOkay;
        }
        response = fault.response(beats, response);
        pins_.rdata = response == kOkay ? data : 0;
        pins_.rresp = response;
        pins_.rlast = burst.beats == 1;
        pins_.rvalid = 1;
        store.moved = store.now;
        ++beats;
        burst.address += kBeatBytes;
        if (--burst.beats == 0) bursts_.pop();
    }

    void drive(Store& store) {
        pins_.arready = !bursts_.full() && !fault.deaf(beats) && !store.refuses();
    }

    void sample(Store& store) {
        address_.sample(store, pins_.arvalid, pins_.arready, pins_.araddr, pins_.arlen,
                        pins_.arsize, pins_.arburst);
        if (pins_.arvalid && pins_.arready) {
            bursts_.push({pins_.araddr, store.due(), pins_.arlen + 1u, kOkay});
        }
        taken_ = pins_.rvalid && pins_.rready;
    }

    // After the clock edge that ends the cycle of `sample`.
    void advance() {
        if (taken_) pins_.rvalid = 0;
    }

    void reset() {
        bursts_.clear();
        address_.held = false;
        taken_ = false;
        pins_.arready = 0;
        pins_.rvalid = 0;
        pins_.rlast = 0;
        pins_.rresp = 0;
        pins_.rdata = 0;
    }

private:
    ReadPins pins_;
    AddressChannel address_;
    Ring<Burst, kOutstanding> bursts_;
    bool taken_ = false;
};

// The pins of a write master.
struct WritePins {
    const uint32_t& awaddr;
    const uint8_t& awlen;
    const uint8_t& awsize;
    const uint8_t& awburst;
    const uint8_t& awvalid;
    uint8_t& awready;
    const uint64_t& wdata;
    const uint8_t& wstrb;
    const uint8_t& wlast;
    const uint8_t& wvalid;
    uint8_t& wready;
    uint8_t& bresp;
    uint8_t& bvalid;
    const uint8_t& bready;
};

class WritePort {
public:
    WritePort(const char* name, const WritePins& pins) : pins_(pins) { address_.port = name; }

    FaultPlan fault;
    uint64_t beats = 0;

    // The core's valid comes from registers, so it is known before the inputs are set.
    bool wants(Store& store) {
        return pins_.wvalid && !bursts_.empty() && !answers_.full() && !fault.hangs(beats) &&
               !store.refuses();
    }

    void grant(Store&) { pins_.wready = 1; }

    void drive(Store& store) {
        pins_.awready = !bursts_.full() && !fault.deaf(beats) && !store.refuses();
        if (!pins_.bvalid && !answers_.empty() && answers_.front().due <= store.now &&
            !fault.silent(beats) && !store.refuses()) {
            pins_.bresp = answers_.front().response;
            pins_.bvalid = 1;
            store.moved = store.now;
            answers_.pop();
        }
    }

    void sample(Store& store) {
        if (held_ && (!pins_.wvalid || pins_.wdata != data_ || pins_.wlast != last_)) {
            store.report(address_.port, "write data changed before it was accepted", 0, 0);
        }
        held_ = pins_.wvalid && !pins_.wready;
        data_ = pins_.wdata;
        last_ = pins_.wlast;
        // Data goes before the address of this cycle: bursts_ may be empty until now.
        if (pins_.wvalid && pins_.wready) take(store);
        address_.sample(store, pins_.awvalid, pins_.awready, pins_.awaddr, pins_.awlen,
                        pins_.awsize, pins_.awburst);
        if (pins_.awvalid && pins_.awready) {
            bursts_.push({pins_.awaddr, 0, pins_.awlen + 1u, kOkay});
        }
        acknowledged_ = pins_.bvalid && pins_.bready;
    }

    void advance() {
        pins_.wready = 0;
        if (acknowledged_) pins_.bvalid = 0;
    }

    void reset() {
        bursts_.clear();
        answers_.clear();
        address_.held = held_ = false;
        acknowledged_ = false;
        pins_.awready = 0;
        pins_.wready = 0;
        pins_.bvalid = 0;
        pins_.bresp = 0;
    }

private:
    void take(Store& store) {
        Burst& burst = bursts_.front();
        if (!store.may_write(burst.address)) {
            store.report(address_.port, "a write outside the buffers", burst.address, burst.beats);
        }
        uint8_t response = store.inside(burst.address) ? kOkay : kDecErr;
        response = fault.response(beats, response);
        if (response == kOkay) {
            uint8_t* target = store.bytes + burst.address;
            if (pins_.wstrb == 0xFF) {
                std::memcpy(target, &pins_.wdata, kBeatBytes);
            } else {
                for (unsigned i = 0; i < kBeatBytes; ++i) {
                    if (pins_.wstrb >> i & 1) target[i] = pins_.wdata >> (8 * i) & 0xFF;
                }
            }
        } else if (burst.response == kOkay) {
            burst.response = response;
        }
        store.moved = store.now;
        ++beats;
        burst.address += kBeatBytes;
        const bool last = --burst.beats == 0;
        if (last != static_cast<bool>(pins_.wlast)) {
            store.report(address_.port, "wlast at the wrong beat", burst.address - kBeatBytes,
                         burst.beats);
        }
        if (last) {
            answers_.push({0, store.due(), 0, burst.response});
            bursts_.pop();
        }
    }

    WritePins pins_;
    AddressChannel address_;
    Ring<Burst, kOutstanding> bursts_;
    Ring<Burst, kOutstanding> answers_;
    bool held_ = false;
    uint64_t data_ = 0;
    uint8_t last_ = 0;
    bool acknowledged_ = false;
};

}  // namespace penstock
